/* l_note.c -- req:note(name, value): what is to be said of a request when it is over. */
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/value.h"
#include "request/notes.h"

/* req:note(name, value) */
int l_request_note(lua_State *L) {
    struct request *r = request_check(L, 1);
    struct slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    luaL_checkany(L, 3);
    luaL_argcheck(L, name.len > 0 && name.len <= NOTE_NAME, 2, "a name of 1 to 64 bytes");
    struct buf *json = lib_output(L);
    value_encode(L, 3, json, 0);
    int rc = notes_put(r, name, buf_get(json));
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0) return luaL_error(L, "req:note: a request has at most 32 notes of 1024 bytes of JSON");
    return 0;
}
