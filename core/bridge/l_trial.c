/* l_trial.c -- what policies try out, count and keep: core.trial, core.tally, core.capture.
 *
 *     core.trial(req, upstream, policy, main, text)
 *         the same question to another upstream, in the background (services->try_out); how it ended, what it used and
 *         whether it said the same as `text` is counted, and its answer thrown away
 *
 * What comes back comes to C alone: the request, and with it all Lua that asked, are long gone by then.  So what the
 * comparison needs is copied here, at most TRIAL_TEXT bytes of the answer. */
#include <stdio.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "request/trial.h"
#include "semantic/answers.h"

/* -- Counting ----------------------------------------------------------------------------- */

/* core.tally(kind, value, label, label, label) */
int l_tally(lua_State *L) {
    static const char *const kinds[] = { "routed", "trials", "trial_seconds", "trial_tokens", "captured", "chosen",
                                        "parts", "hedges", NULL };
    int kind = luaL_checkoption(L, 1, NULL, kinds); /* ORDER tally */
    double value = luaL_checknumber(L, 2);
    const char *labels[TALLY_LABELS];
    for (int i = 0; i < TALLY_LABELS; i++) labels[i] = luaL_optstring(L, 3 + i, NULL);
    tally_add(state_of(L)->stores->tally, (enum tally_kind)kind, labels, value);
    return 0;
}

/* -- Trying out ------------------------------------------------------------------------------ */

struct trying {
    struct services *services; /* of a generation, of which the exchange of the trial has a share */
    char             policy[TALLY_LABEL], upstream[TALLY_LABEL];
    struct buf       text;     /* of the answer that the client got; may be empty */
};

static void add(struct trying *t, enum tally_kind kind, const char *what, double value) {
    const char *labels[TALLY_LABELS] = { t->policy, t->upstream, what };
    tally_add(t->services->stores->tally, kind, labels, value);
}

static void compare(struct trying *t, struct slice text) {
    float similarity;
    struct embedder *e = services_embedder(t->services);
    if (e == NULL || buf_failed(&t->text) || buf_len(&t->text) == 0 || text.len == 0) return;
    enum answers verdict = answers_compare(e, buf_get(&t->text), text, &similarity);
    add(t, TALLY_TRIALS, verdict == ANSWERS_AGREE ? "agreed" : verdict == ANSWERS_DIFFER ? "differed" : "unclear", 1);
}

static void over(void *ud, const struct trial_result *r) {
    struct trying *t = ud;
    add(t, TALLY_TRIALS, r->ok ? "ok" : strcmp(r->code, "canceled") == 0 ? "canceled" : "failed", 1);
    if (r->ok) add(t, TALLY_TRIAL_SECONDS, NULL, (double)r->total_us / 1e6);
    if (r->usage.known) {
        add(t, TALLY_TRIAL_TOKENS, "input", (double)r->usage.prompt);
        add(t, TALLY_TRIAL_TOKENS, "output", (double)r->usage.completion);
    }
    if (r->ok) compare(t, r->text);
    buf_deinit(&t->text);
    mem_free(t);
}

static void copy_label(char *to, const char *from) { slice_copy(to, TALLY_LABEL, slice_str(from)); }

/* core.trial(req, upstream, policy, text | nil) -> whether it was begun */
int l_trial(lua_State *L) {
    struct request *req = request_check(L, 1);
    const char *upstream = luaL_checkstring(L, 2), *policy = luaL_checkstring(L, 3);
    struct slice text;
    text.ptr = luaL_optlstring(L, 4, "", &text.len);
    struct services *v = &state_of(L)->services;
    struct body *body = v->try_out != NULL ? request_body(L, 1) : NULL;
    struct trying *t = body != NULL ? mem_zalloc(sizeof(*t)) : NULL;
    bool begun = false;
    if (t != NULL) {
        t->services = v;
        copy_label(t->policy, policy);
        copy_label(t->upstream, upstream);
        buf_init(&t->text, 0);
        buf_put(&t->text, text.ptr, text.len < TRIAL_TEXT ? text.len : TRIAL_TEXT);
        begun = v->try_out(v, &(struct trial_ask){ .request = req, .body = body, .upstream = upstream, .over = over,
                                                   .ud = t });
        if (!begun) {
            buf_deinit(&t->text);
            mem_free(t);
        }
    }
    body_put(body);
    lua_pushboolean(L, begun);
    return 1;
}

/* -- Keeping ----------------------------------------------------------------------------------- */

/* core.capture(path, max_bytes, keep, line) -> "taken" | "full" | "late" | "long" | "failed", why */
int l_capture(lua_State *L) {
    struct captures *c = state_of(L)->stores->captures;
    struct slice line;
    struct captures_file f = { .path = luaL_checkstring(L, 1) };
    double max = luaL_checknumber(L, 2), keep = luaL_checknumber(L, 3);
    line.ptr = luaL_checklstring(L, 4, &line.len);
    luaL_argcheck(L, max >= 0 && max < 1e15, 2, "a number of bytes");
    luaL_argcheck(L, keep >= 0 && keep <= CAPTURES_KEEP, 3, "0 to 16");
    luaL_argcheck(L, line.len == 0 || memchr(line.ptr, '\n', line.len) == NULL, 4, "must be one line");
    f.max_bytes = (uint64_t)max;
    f.keep = (unsigned)keep;
    enum captures_result r = captures_put(c, &f, line);
    char why[300] = "";
    if (r == CAPTURES_FAILED) captures_problem(c, f.path, why, sizeof(why));
    lua_pushstring(L, captures_result_name(r));
    lua_pushstring(L, why);
    return 2;
}
