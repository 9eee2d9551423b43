// gateway.hpp -- perilune.h for C++17: objects that close themselves, exceptions, and lambdas as callbacks.
//
// Copy it and change it; nothing is in here that perilune.h does not say.  A thread owns a gateway (perilune.h, THREADS),
// so these objects move and are not shared.  An exception must not cross C: one of a function that policies call becomes
// the policy's error.
#pragma once
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "perilune.h"

namespace pl {

inline std::string_view view(perilune_str s) { return {s.ptr, s.len}; }

struct error : std::runtime_error {
    int code;
    error(int code, const std::string &text) : std::runtime_error(perilune_errname(code) + (": " + text)), code(code) {}
};

class request {
    std::unique_ptr<perilune_request, void (*)(perilune_request *)> r{nullptr, perilune_request_free};
    void check(int rc) const { if (rc != 0) throw error(rc, perilune_request_errmsg(r.get())); }

public:
    request(perilune *g, const char *path, std::string_view json) {
        perilune_request *made = nullptr;
        int rc = perilune_request_new(g, path, json.data(), json.size(), &made);
        if (rc != 0) throw error(rc, perilune_errmsg(g));
        r.reset(made);
    }
    request &set(const char *name, const char *value) { return check(perilune_request_set(r.get(), name, value)), *this; }

    // Calls on_text for each piece until the answer is over; the upstream waits meanwhile.
    void stream(const std::function<void(std::string_view)> &on_text) {
        const perilune_event *ev;
        check(perilune_request_start(r.get(), nullptr, nullptr));
        do {
            check(perilune_request_next(r.get(), &ev, -1));
            if (ev->type == PERILUNE_EV_TEXT) on_text(view(ev->text));
        } while (ev->type != PERILUNE_EV_END);
    }
};

class gateway {
    using function_t = std::function<std::string(std::string_view)>;
    std::list<function_t> functions; // they stay where they are, and live longer than the gateway
    std::unique_ptr<perilune, void (*)(perilune *)> g{nullptr, perilune_close};
    void check(int rc) const { if (rc != 0) throw error(rc, perilune_errmsg(g.get())); }

    static void call(perilune_call *c, const perilune_value *args, size_t count, void *ud) {
        try {
            std::string out = (*static_cast<function_t *>(ud))(count > 0 ? view(args[0].text) : "");
            perilune_value value = {PERILUNE_STRING, 0, {out.data(), out.size()}};
            perilune_call_return(c, &value);
        } catch (const std::exception &e) {
            perilune_call_fail(c, nullptr, e.what());
        }
    }

public:
    explicit gateway(const char *config) {
        char why[500];
        perilune_options options = PERILUNE_OPTIONS_INIT;
        perilune *made = nullptr;
        options.config = config;
        int rc = perilune_open(&made, &options, why, sizeof(why));
        if (rc != 0) throw error(rc, why);
        g.reset(made);
    }
    // host.NAME(text) in policies.
    void function(const char *name, function_t fn) {
        functions.push_back(std::move(fn));
        check(perilune_function_add(g.get(), name, call, &functions.back()));
    }
    request ask(std::string_view json) { return request(g.get(), "/v1/chat/completions", json); }
    std::string eval(const char *code, std::string_view args) {
        perilune_str result;
        check(perilune_eval(g.get(), code, nullptr, args.data(), args.size(), &result));
        return std::string(view(result));
    }
};

} // namespace pl
