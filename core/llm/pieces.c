/* pieces.c -- lists of the strings in an event, and their texts over several events.
 *
 * Models write tokens, and a token may be half of a character.  Servers that escape what
 * is not ASCII then send one surrogate of a pair in one event and the other in the next;
 * decoded one by one, both would become U+FFFD. */
#include "llm/pieces.h"

#include "base/mem.h"
#include "include/perilune.h"

const char *const piece_names[PIECE_KINDS] = { "text", "reasoning", "refusal", "arguments" };

void piece_list_add(struct piece_list *l, struct piece p) {
    if (mem_grow((void **)&l->items, l->len, &l->cap, sizeof(*l->items))) l->items[l->len++] = p;
    else l->failed = true;
}

void piece_list_deinit(struct piece_list *l) {
    mem_free(l->items);
    *l = (struct piece_list){ .items = NULL };
}

/* -- Texts ---------------------------------------------------------------------------- */

static unsigned hex(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10); }

/* Does s (the inside of a JSON string) end with an escaped high surrogate? */
static bool ends_with_half(struct slice s) {
    if (s.len < 6 || s.ptr[s.len - 6] != '\\' || s.ptr[s.len - 5] != 'u') return false;
    const char *p = s.ptr + s.len - 4;
    unsigned code = hex(p[0]) << 12 | hex(p[1]) << 8 | hex(p[2]) << 4 | hex(p[3]);
    size_t escapes = 0; /* a backslash may itself be escaped */
    for (size_t i = s.len - 6; i > 0 && s.ptr[i - 1] == '\\'; i--) escapes++;
    return escapes % 2 == 0 && code >= 0xD800 && code <= 0xDBFF;
}

/* The inside of a JSON string, behind `half`. */
static void decode(struct slice inside, const struct piece_half *half, struct buf *out) {
    struct buf text;
    buf_init(&text, 0);
    buf_putc(&text, '"');
    buf_put(&text, half->text, half->len);
    buf_slice(&text, inside);
    buf_putc(&text, '"');
    struct json_node node = { .start = 0, .end = (uint32_t)buf_len(&text), .type = JSON_STRING, .escaped = 1 };
    struct json_doc doc = { .text = buf_get(&text), .nodes = &node, .len = 1 };
    if (buf_failed(&text)) out->error = PERILUNE_ERR_NOMEM;
    else json_decode_string(&doc, 0, out);
    buf_deinit(&text);
}

void piece_decode_rest(struct piece_half *half, struct buf *out) {
    if (half->len > 0) decode(SLICE(""), half, out);
    half->len = 0;
}

void piece_text(const struct json_doc *doc, uint32_t node, struct buf *out) {
    if (json_is(doc, node, JSON_STRING)) json_decode_string(doc, node, out);
    else buf_slice(out, json_raw(doc, node));
}

bool piece_is_empty(const struct json_doc *doc, uint32_t node) {
    return json_is(doc, node, JSON_STRING) && json_raw(doc, node).len == 2;
}

void piece_decode(const struct json_doc *doc, uint32_t node, struct piece_half *half, struct buf *out) {
    if (!json_is(doc, node, JSON_STRING)) {
        piece_decode_rest(half, out);
        piece_text(doc, node, out);
        return;
    }
    struct slice raw = json_raw(doc, node), inside = slice_of(raw.ptr + 1, raw.len - 2);
    if (inside.len == 0) return;
    bool cut = doc->nodes[node].escaped && ends_with_half(inside);
    if (!cut && half->len == 0) {
        json_decode_string(doc, node, out);
        return;
    }
    struct piece_half next = { .len = 0 };
    if (cut) {
        inside.len -= sizeof(next.text);
        memcpy(next.text, inside.ptr + inside.len, sizeof(next.text));
        next.len = sizeof(next.text);
    }
    if (inside.len > 0 || half->len > 0) decode(inside, half, out);
    *half = next;
}
