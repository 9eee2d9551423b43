/* notes.c -- what policies want to have said of a request when it is over.
 *
 *     req:note("plan", "gold") --> note --> note --> ...    in the arena of the request
 *                                   |                   +--> "notes" in the line of the access log
 *                                   +--> perilune_hooks.finished
 *
 * A client never sees them.  Bounded by names and bytes, because each is kept until the request ends; a value that is
 * said again takes the place of the old one where it fits into it, so that a counter costs nothing. */
#include "request/notes.h"

#include "base/json.h"

struct note {
    struct note *next;
    struct slice name;
    char        *json;
    size_t       len, room;
};

static struct note **find(struct request *r, struct slice name, unsigned *count) {
    struct note **at = &r->notes;
    for (*count = 0; *at != NULL && !slice_eq((*at)->name, name); at = &(*at)->next) ++*count;
    return at;
}

static struct note *make(struct request *r, struct slice name) {
    struct note *n = arena_alloc(&r->arena, sizeof(*n));
    if (n == NULL) return NULL;
    *n = (struct note){ .name = { arena_dup(&r->arena, name), name.len } };
    return n->name.ptr ? n : NULL;
}

int notes_put(struct request *r, struct slice name, struct slice json) {
    unsigned count;
    struct note **at = find(r, name, &count), *n = *at;
    if (name.len > NOTE_NAME || json.len > NOTE_VALUE || (n == NULL && count >= NOTES_MOST))
        return PERILUNE_ERR_LIMITED;
    if (n == NULL && (n = make(r, name)) == NULL) return PERILUNE_ERR_NOMEM;
    if (json.len > n->room) { /* at least twice as much, so that one name takes a bounded part of the arena */
        size_t room = json.len > 2 * n->room ? json.len : 2 * n->room;
        char *text = arena_alloc(&r->arena, room);
        if (text == NULL) return PERILUNE_ERR_NOMEM;
        n->json = text;
        n->room = room;
    }
    memcpy(n->json, json.ptr, json.len);
    n->len = json.len;
    *at = n;
    return 0;
}

void notes_write(const struct request *r, struct buf *out) {
    if (r->notes == NULL) return;
    buf_putc(out, '{');
    for (const struct note *n = r->notes; n != NULL; n = n->next) {
        json_write_string(out, n->name);
        buf_putc(out, ':');
        buf_put(out, n->json, n->len);
        if (n->next != NULL) buf_putc(out, ',');
    }
    buf_putc(out, '}');
}
