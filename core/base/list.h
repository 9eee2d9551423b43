/* list.h -- intrusive doubly linked circular list: membership costs no
 * allocation, and an element removes itself in O(1) without knowing its list.
 * An element that is in no list points to itself. */
#ifndef PERILUNE_BASE_LIST_H
#define PERILUNE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member) \
    ((type *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }

static inline void list_append(struct list *head, struct list *e) {
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}

static inline void list_remove(struct list *e) {
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}

/* Moves all elements of from to the (empty) list to. */
static inline void list_take(struct list *to, struct list *from) {
    list_init(to);
    if (list_is_empty(from)) return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

#endif
