// ask.cpp -- Perilune from C++17, with the wrapper beside it.
//
//     c++ -std=c++17 ask.cpp -lperilune
//     ask hosts.lua
#include <iostream>
#include <map>

#include "gateway.hpp"

int main(int argc, char **argv) try {
    if (argc != 2) throw std::runtime_error("usage: ask CONFIG");
    std::map<std::string, std::string, std::less<>> users{{"u1", "Ada"}, {"u2", "Grace"}};

    pl::gateway gateway(argv[1]);
    gateway.function("lookup_user", [&](std::string_view id) {
        auto found = users.find(id);
        if (found == users.end()) throw std::runtime_error("nobody has this id");
        return found->second;
    });

    std::string json = R"({"stream":true,"messages":[{"role":"user","content":"Hello from C++!"}]})";
    std::cout << "answer: ";
    gateway.ask(json).set("tenant", "u1").stream([](std::string_view piece) { std::cout << piece << std::flush; });

    try {
        gateway.ask(json).set("tenant", "u9").stream([](std::string_view) {});
    } catch (const pl::error &e) {
        std::cout << "\nstranger: " << e.what();
    }

    std::cout << "\nrule: " << gateway.eval("local n = ... return n * 2", "[21]") << std::endl;
    return 0;
} catch (const std::exception &e) {
    std::cerr << "ask: " << e.what() << std::endl;
    return 1;
}
