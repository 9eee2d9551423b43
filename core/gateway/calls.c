/* calls.c -- what the public functions look at first: is there a gateway, and may it be used now, and here?
 *
 *     [any]                                      gateway_looks()
 *     the owner's, also while it loads           gateway_admits()     only on the thread that opened it, and
 *     the owner's                                gateway_refuses()    the clock of its loop is read
 *
 * A host's mistakes end here, with a code and a sentence: no gateway, options of another
 * library, a call out of what runs while it loads, a process that came out of
 * fork() with a gateway in its memory.  In such a process the workers' threads do not
 * exist and the loop's descriptors are the parent's, whose clients and timers it would
 * take away: it may do nothing with that gateway, not even close it.
 *
 * Other threads get that far, too: the library's, on which callbacks run (workers, the log), and those of the host.
 * Most of what is the owner's asks the workers and waits for them, and nothing of it is locked.  A thread is known by
 * its number, which is compared before anything of the owner's is read: that costs nothing.
 *
 * The loop's clock stands between its turns, and the host may have been away for any time: who comes in reads it. */
#include "gateway/gateway.h"

#include <stdio.h>
#include <unistd.h>

#define STRUCT_MOST 4096 /* bytes; what says to be larger was not begun with its PERILUNE_..._INIT */

static const char no_gateway[] = "no gateway was given (NULL)";
const char gateway_forked[] = "this process came out of fork() after perilune_open(): the gateway is the parent's; "
                              "open one of your own here";

static const char elsewhere[] = "this is not the thread that opened the gateway, and the function is only for "
                                "that one: perilune_post() a function that calls it";

bool gateway_is_foreign(const struct perilune *g) { return g == NULL || g->pid != getpid(); }

bool gateway_is_elsewhere(const struct perilune *g) { return !pthread_equal(pthread_self(), g->opener); }

bool gateway_is_refused_here(const struct perilune *g, const char *fn) {
    bool other = gateway_is_elsewhere(g);
    if (other)
        log_line((struct log *)(uintptr_t)&g->log, PERILUNE_LOG_ERROR,
                 "%s() does nothing: %s", fn, elsewhere);
    return other;
}

const char *gateway_who_loads(const struct perilune *g) {
    return g->reads ? "options.read()" : "a function that policies call while they are loaded";
}

int gateway_looks(const struct perilune *g) {
    if (g == NULL) return PERILUNE_ERR_INVAL;
    return gateway_is_foreign(g) ? PERILUNE_ERR_STATE : 0;
}

int gateway_admits(const struct perilune *g) {
    int refused = gateway_looks(g);
    if (refused != 0) return refused;
    if (gateway_is_elsewhere(g)) return PERILUNE_ERR_STATE;
    loop_read_clock(&g->loop);
    return 0;
}

int gateway_refuses(struct perilune *g) {
    int refused = gateway_admits(g);
    if (refused != 0 || !g->loading) return refused;
    snprintf(g->errmsg, sizeof(g->errmsg), "a configuration is being loaded: %s must not call this",
             gateway_who_loads(g));
    return PERILUNE_ERR_STATE;
}

PERILUNE_API const char *perilune_errmsg(const perilune *g) {
    if (g == NULL) return no_gateway;
    if (gateway_is_foreign(g)) return gateway_forked;
    return gateway_is_elsewhere(g) ? elsewhere : g->errmsg;
}

/* -- Structs that begin with their size ------------------------------------------------------ */

bool gateway_size_can_be(size_t size, size_t first) {
    return size >= first && size <= STRUCT_MOST && size % sizeof(void *) == 0;
}

bool gateway_rest_is_unset(const void *of, size_t size, size_t known) {
    const char *bytes = of;
    for (size_t i = known; i < size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

/* -- Options --------------------------------------------------------------------------------- */

static const char *options_problem(const perilune_options *o) {
    static const size_t first = offsetof(perilune_options, read); /* of the first version */
    if (o == NULL) return "options are missing (NULL): begin them with PERILUNE_OPTIONS_INIT";
    if (!gateway_size_can_be(o->size, first))
        return "options.size is none that perilune_options ever had: begin it with PERILUNE_OPTIONS_INIT";
    if (!gateway_rest_is_unset(o, o->size, sizeof(*o)))
        return "options are set that this library is too old to know (it is " PERILUNE_VERSION_STRING ")";
    if (o->threads < -1 || o->threads > WORKERS_MOST) return "options.threads is -1 (as configured), or from 0 to 1024";
    return NULL;
}

int gateway_options(perilune_options *out, const perilune_options *options, char *err, size_t errlen) {
    perilune_options known = PERILUNE_OPTIONS_INIT;
    const char *problem = options_problem(options);
    *out = known;
    if (problem != NULL) {
        if (err != NULL && errlen > 0) snprintf(err, errlen, "%s", problem);
        return PERILUNE_ERR_INVAL;
    }
    memcpy(out, options, options->size < sizeof(*out) ? options->size : sizeof(*out));
    out->size = sizeof(*out);
    return 0;
}
