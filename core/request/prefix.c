/* prefix.c -- the beginnings of a prompt, as hashes.
 *
 *     tools | messages ..... -->  [ tools ][ 1 KiB ][ 1 KiB ] ...    each hash is of its block and all before it
 *
 * The tools come first, and then the messages: that is the order in which templates write them.  What is left behind
 * the last whole block is new with each request anyway. */
#include "request/prefix.h"

#define BLOCK HASH_BLOCK /* bytes: some 250 tokens */

static void add_block(struct prefix *p, const struct hash_long_key *key, struct slice text) {
    uint64_t before = p->count > 0 ? p->blocks[p->count - 1] : 0;
    p->ends[p->count] = (p->count > 0 ? p->ends[p->count - 1] : 0) + text.len;
    p->blocks[p->count++] = hash_long(key, text, before).low;
}

static void add_blocks(struct prefix *p, const struct hash_long_key *key, struct slice text) {
    while (text.len >= BLOCK && p->count < PREFIX_BLOCKS) {
        add_block(p, key, slice_of(text.ptr, BLOCK));
        text = slice_of(text.ptr + BLOCK, text.len - BLOCK);
    }
}

void prefix_read(struct prefix *p, const struct hash_long_key *key, const struct body *b) {
    p->count = 0;
    p->bytes = 0;
    if (b == NULL || b->chat.messages == JSON_NONE) return;
    uint32_t tools = json_get(&b->doc, 0, SLICE("tools"));
    struct slice text = tools == JSON_NONE ? SLICE("") : json_raw(&b->doc, tools);
    struct slice messages = json_raw(&b->doc, b->chat.messages);
    p->bytes = text.len + messages.len;
    if (text.len > 0) add_block(p, key, text);
    add_blocks(p, key, messages);
}
