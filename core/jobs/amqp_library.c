/* amqp_library.c -- librabbitmq, found, looked at and loaded.
 *
 *     `library` | librabbitmq.so.4, as the loader finds it
 *         --dlopen--> all symbols? --> a version that is known? --> does it write a table as we would? --> it stays
 *
 * The program neither links librabbitmq nor needs its headers: who has no RabbitMQ has no library of it.  What it calls
 * is declared in amqp_abi.h, as it has been since 0.6; a library that says it is older, or newer than 0.x, is refused.
 * Its functions hand structs over by value, so one with another layout would crash later: a table with a text, a number
 * and a truth is encoded by it, and the bytes must be those of the protocol (AMQP 0-9-1, 4.2.5).
 *
 * It is one of the process, loaded once: a second one, from another file, would share symbols with the first. */
#include "jobs/amqp_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

#define INSTALL "install it (Debian, Ubuntu: apt install librabbitmq4; Fedora: dnf install librabbitmq; Alpine: apk " \
                "add rabbitmq-c)"
#define OLDEST  0x00080000u /* 0.8.0 */
#define TOO_NEW 0x01000000u

/* ISO C has no way from an object's address to a function's; POSIX says that this one works. */
static bool find_symbol(void *handle, const char *name, void *slot) {
    void *at = dlsym(handle, name);
    memcpy(slot, &at, sizeof(at));
    return at != NULL;
}

/* NULL, or the first that is missing. */
static const char *find_symbols(void *handle, struct amqp_calls *c) {
#define XX(result, name, arguments)                                                                                   \
    if (!find_symbol(handle, #name, &c->name)) return #name;
    AMQP_FUNCTIONS(XX)
#undef XX
#define XX(result, name, arguments) find_symbol(handle, #name, &c->name);
    AMQP_MORE_FUNCTIONS(XX)
#undef XX
    return NULL;
}

static struct amqp_bytes literal(const char *s) { return (struct amqp_bytes){ strlen(s), (void *)(uintptr_t)s }; }

static bool encodes_as_we_would(const struct amqp_calls *c) {
    static const unsigned char expected[] = "\0\0\0\x19" "\1aS\0\0\0\2hi" "\1bl\0\0\0\0\0\0\1\2" "\2cct\1";
    struct amqp_entry entries[] = {
        { literal("a"), { .kind = 'S', .value.bytes = literal("hi") } },
        { literal("b"), { .kind = 'l', .value.i64 = 258 } },
        { literal("cc"), { .kind = 't', .value.boolean = 1 } },
    };
    struct amqp_table table = { 3, entries };
    unsigned char bytes[64];
    size_t offset = 0;
    memset(bytes, 0xAA, sizeof(bytes));
    int rc = c->amqp_encode_table((struct amqp_bytes){ sizeof(bytes), bytes }, &table, &offset);
    return rc == 0 && offset == sizeof(expected) - 1 && memcmp(bytes, expected, offset) == 0;
}

static bool looks_right(void *handle, const char *path, struct amqp_calls *c, char *why, size_t size) {
    const char *missing = find_symbols(handle, c);
    if (missing != NULL) {
        snprintf(why, size, "%s is no librabbitmq, or too old a one: it has no %s(); 0.8 and newer work", path,
                 missing);
        return false;
    }
    uint32_t version = c->amqp_version_number();
    if (version < OLDEST || version >= TOO_NEW) {
        snprintf(why, size, "%s is librabbitmq %.20s; 0.8 and newer work, up to 0.x", path, c->amqp_version());
        return false;
    }
    if (encodes_as_we_would(c)) return true;
    snprintf(why, size, "%s says that it is librabbitmq %.20s, but its structs are laid out differently", path,
             c->amqp_version());
    return false;
}

static int load(struct amqp_calls *calls, const char *path, char *why, size_t size) {
    static const char *const names[] = { "librabbitmq.so.4", "librabbitmq.so" };
    void *h = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const char *said = path != NULL && h == NULL ? dlerror() : NULL, *found = path;
    for (size_t i = 0; path == NULL && h == NULL && i < sizeof(names) / sizeof(*names); i++) {
        h = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        found = names[i];
    }
    if (h == NULL && path != NULL)
        snprintf(why, size, "%s cannot be loaded: %s", path, said != NULL ? said : "no reason was given");
    else if (h == NULL)
        snprintf(why, size, "RabbitMQ needs librabbitmq.so.4, which is not on this machine: " INSTALL
                 ", or say library = \"/path/librabbitmq.so.4\"");
    if (h == NULL) return PERILUNE_ERR_CONFIG;
    if (looks_right(h, found, calls, why, size)) return 0;
    dlclose(h);
    return PERILUNE_ERR_CONFIG;
}

int amqp_library_get(const struct amqp_calls **out, const char *path, char *why, size_t size) {
    static struct { struct amqp_calls calls; bool loaded; char path[1024]; } one; /* of the process, see above */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int rc = 0;
    *out = NULL;
    pthread_mutex_lock(&lock);
    if (one.loaded && path != NULL && strcmp(path, one.path) != 0) {
        snprintf(why, size, "this process has loaded librabbitmq from '%s' already, and can have one only: restart it",
                 one.path);
        rc = PERILUNE_ERR_CONFIG;
    } else if (!one.loaded) {
        rc = load(&one.calls, path, why, size);
        one.loaded = rc == 0;
        snprintf(one.path, sizeof(one.path), "%s", path != NULL ? path : "");
    }
    if (rc == 0) *out = &one.calls;
    pthread_mutex_unlock(&lock);
    return rc;
}
