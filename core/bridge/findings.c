/* findings.c -- what is wrong with a configuration, in pieces.
 *
 * Messages travel as text, a line each: "FILE:LINE: KEY: what is wrong".  Who shows them
 * in an editor or a form wants the pieces, and a text cannot be taken apart safely (a
 * file's name and a sentence may hold colons, too).  So whoever writes such a line notes
 * here what it was made of. */
#include "bridge/findings.h"

#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define MOST 200

void findings_init(struct findings *f) {
    list_init(&f->list);
    f->count = 0;
}

/* Appends to the bytes behind a finding, and returns what was appended. */
static struct slice put(char **at, struct slice s) {
    if (s.len > 0) memcpy(*at, s.ptr, s.len);
    struct slice there = slice_of(*at, s.len);
    *at += s.len;
    return there;
}

void findings_add(struct findings *f, const struct finding *it) {
    if (f->count >= MOST) return;
    char line[24] = "";
    if (it->line > 0) snprintf(line, sizeof(line), ":%u", it->line);
    size_t len = it->file.len + strlen(line) + it->key.len + it->text.len + 4;
    struct finding *copy = mem_alloc(sizeof(*copy) + len);
    if (copy == NULL) return;
    *copy = *it;
    char *at = (char *)(copy + 1);
    const char *begin = at;
    copy->file = put(&at, it->file);
    put(&at, slice_str(line));
    put(&at, SLICE(": "));
    copy->key = put(&at, it->key);
    if (it->key.len > 0) put(&at, SLICE(": "));
    copy->text = put(&at, it->text);
    copy->whole = slice_of(begin, (size_t)(at - begin));
    list_append(&f->list, &copy->link);
    f->count++;
}

bool findings_have(const struct findings *f, struct slice line) {
    for (const struct list *l = f->list.next; l != &f->list; l = l->next) {
        const struct finding *it = container_of((struct list *)(uintptr_t)l, struct finding, link);
        if (memmem(it->whole.ptr, it->whole.len, line.ptr, line.len) != NULL) return true;
    }
    return false;
}

void findings_deinit(struct findings *f) {
    while (!list_is_empty(&f->list)) {
        struct finding *it = container_of(f->list.next, struct finding, link);
        list_remove(&it->link);
        mem_free(it);
    }
    f->count = 0;
}
