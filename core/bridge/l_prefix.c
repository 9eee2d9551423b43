/* l_prefix.c -- core.prompt_seen: which upstream has seen how much of a prompt.
 *
 * For policies that choose upstreams by name, as pools know it of their members (request/balancer.c).  It is
 * remembered where a policy said that it asked; nobody asks the upstreams.  A cleared body has no prompt. */
#include "bridge/lib.h"
#include "bridge/request.h"
#include "request/prefix.h"
#include "sched/affinity.h"

/* Names are few, so that two of them share a number hardly ever. */
static uint16_t number_of(struct slice name) { return (uint16_t)(hash_fnv(name) % UINT16_MAX + 1); }

/* core.prompt_seen(req, upstream, note) -> the share of the prompt's bytes that the upstream has seen, 0 to 1
 * note: from here on, it has seen all of them */
int l_prompt_seen(lua_State *L) {
    struct slice name;
    request_check(L, 1);
    name.ptr = luaL_checklstring(L, 2, &name.len);
    bool note = lua_toboolean(L, 3);
    struct state *s = state_of(L);
    struct affinity *seen = stores_prompts(s->stores);
    struct body *body = request_body(L, 1);
    struct prefix p;
    unsigned matched = 0;
    uint16_t who = number_of(name);
    uint64_t now = loop_now(s->loop);
    prefix_read(&p, &s->stores->prompt_key, body);
    body_put(body);
    if (seen == NULL) p.count = 0; /* no memory: nobody has seen anything */
    if (p.count > 0) affinity_match(seen, p.blocks, p.count, &who, 1, now, &matched);
    if (p.count > 0 && note) affinity_note(seen, p.blocks, p.count, who, now);
    lua_pushnumber(L, matched > 0 ? (lua_Number)p.ends[matched - 1] / (lua_Number)p.bytes : 0);
    return 1;
}
