/* redis_check.c -- can a Redis be asked?  For who looks at a configuration without serving it.
 *
 *     redis_new() --> loop turns --> it works, or the first try failed --> redis_close()
 *
 * Each step of a try has its time (redis.c), so it ends; only a resolver that is being asked has to be waited for.
 * Thread: any; it blocks. */
#include "store/redis_check.h"

#include <stdio.h>

enum found { NOTHING, WORKS, FAILS };

struct look {
    enum found found;
    char      *why;
    size_t     size;
};

static void changed(void *ud, bool up) {
    struct look *l = ud;
    if (up && l->found == NOTHING) l->found = WORKS;
}

static void broke(void *ud, const char *why) {
    struct look *l = ud;
    if (l->found != NOTHING) return;
    l->found = FAILS;
    snprintf(l->why, l->size, "%s", why);
}

int redis_check(const struct redis_options *opt, char *why, size_t size) {
    struct look l = { .why = why, .size = size };
    struct redis_options o = *opt;
    struct loop loop;
    int rc = loop_init(&loop);
    if (rc != 0) return rc;
    o.loop = &loop;
    o.log = NULL;
    o.said = NULL;
    o.stats = NULL;
    o.changed = changed;
    o.broke = broke;
    o.ud = &l;
    struct redis *r = redis_new(&o);
    /* Nothing left to wait for and nothing found: there was no memory for a timer. */
    while (r != NULL && l.found == NOTHING && uv_run(&loop.uv, UV_RUN_ONCE) != 0) {}
    redis_close(r);
    loop_deinit(&loop);
    return l.found == WORKS ? 0 : l.found == FAILS ? PERILUNE_ERR_IO : PERILUNE_ERR_NOMEM;
}
