/* last_turn.c -- the last thing that a user says, apart from all that it was said after.
 *
 *     {"model":"m","messages":[{system},{user "a"},{assistant},{user "b"}]}
 *         text   b
 *         rest   {"model":"m","messages":[{system},{user "a"},{assistant},{user ""}]}
 *
 * Two requests whose rests are equal differ in what is asked and in nothing else: only those may
 * have one answer because their questions mean the same (bridge/l_near.c).  A question that is more than text (an
 * image, a file, the result of a tool) is none here: nobody compares what it shows. */
#include "request/last_turn.h"

void last_turn_init(struct last_turn *t) {
    *t = (struct last_turn){ .doc = { .nodes = NULL } };
    buf_init(&t->text, 0);
    buf_init(&t->rest, 0);
}

void last_turn_deinit(struct last_turn *t) {
    buf_deinit(&t->text);
    buf_deinit(&t->rest);
    json_deinit(&t->doc);
}

/* The body with "" in place of the node. */
static bool cut_out(struct last_turn *t, const struct json_doc *d, uint32_t node) {
    struct json_error err;
    struct slice all = d->text;
    const struct json_node *n = &d->nodes[node];
    buf_put(&t->rest, all.ptr, n->start);
    buf_put(&t->rest, "\"\"", 2);
    buf_put(&t->rest, all.ptr + n->end, all.len - n->end);
    return !buf_failed(&t->rest) && json_parse(&t->doc, buf_get(&t->rest), &err) == 0;
}

const char *last_turn_read(struct last_turn *t, const struct body *b, size_t most, bool *failed) {
    *failed = false;
    if (b->dialect == NULL || b->dialect->last_question == NULL) return "it is no chat";
    uint32_t node = b->dialect->last_question(&b->doc, &b->chat);
    if (node == JSON_NONE) return "its last message is not a user's text";
    if (json_raw(&b->doc, node).len > 2 * most) return "its question is too long";
    chat_content_text(&b->doc, node, &t->text);
    *failed = buf_failed(&t->text) || !cut_out(t, &b->doc, node);
    if (*failed) return NULL;
    return buf_len(&t->text) > most ? "its question is too long" : NULL;
}
