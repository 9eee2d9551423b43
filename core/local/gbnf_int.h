/* gbnf_int.h -- what the files that write grammars share.  See gbnf.c. */
#ifndef PERILUNE_LOCAL_GBNF_INT_H
#define PERILUNE_LOCAL_GBNF_INT_H

#include "local/gbnf.h"
#include "local/member_names.h"

#define GBNF_PARTS 16   /* schemas that hold for one value: $ref, allOf, an alternative of anyOf */
#define GBNF_PROPS MEMBER_NAMES_MAX /* of an object */

struct gbnf_view {
    uint32_t node[GBNF_PARTS];
    bool     chosen[GBNF_PARTS]; /* its anyOf is settled */
    unsigned len;
    bool     object; /* and the value is an object, whatever they say */
};

struct gbnf_rule {
    struct gbnf_view view;
    uint32_t         unit_from, unit_len; /* into units: rules that this one may be without a byte in front */
};

struct gbnf {
    const struct json_doc *doc;
    const uint32_t        *roots; /* the schemas that were asked for; what "#" means in each of them */
    unsigned               root_count, objects; /* those of the first are objects */
    struct buf             out, side; /* side: rules that the one being written needs */
    struct gbnf_rule      *rules;
    unsigned               len, cap;
    uint32_t              *known; /* of each node of doc: its rule + 1 */
    uint32_t              *units;
    unsigned               units_len, units_cap;
    unsigned               at;    /* the rule being written */
    unsigned               names; /* of side rules so far */
    uint64_t               steps; /* that are left */
    struct gbnf_error     *err;
    int                    rc; /* the first failure, for good */
};

/* Notes the first failure; node is the schema that keyword stands in. */
void gbnf_fail(struct gbnf *g, int rc, uint32_t node, const char *keyword, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Takes steps, about one for each node that is looked at; without any left the schema is refused for good. */
void     gbnf_charge(struct gbnf *g, uint32_t node, uint64_t steps);
/* json_get(), charged.  JSON_NONE behind a failure, too. */
uint32_t gbnf_get(struct gbnf *g, uint32_t node, struct slice key);
/* The value of this keyword in the parts of v, or JSON_NONE; two that differ fail.  *in: whose it is. */
uint32_t gbnf_keyword(struct gbnf *g, const struct gbnf_view *v, const char *name, uint32_t *in);
/* A count (minLength ...), or other. */
int64_t  gbnf_count(struct gbnf *g, const struct gbnf_view *v, const char *name, int64_t other);
/* One character in a class, or the escape for it. */
void     gbnf_class_char(struct buf *to, uint32_t c);
/* unit between min and max times, max < 0: no end; unit is a rule's name. */
void     gbnf_repeat(struct gbnf *g, struct buf *to, const char *unit, int64_t min, int64_t max);

/* The schema at node holds, too, with its $ref and its allOf. */
void     gbnf_view_add(struct gbnf *g, struct gbnf_view *v, uint32_t node);
/* The rule of the schema at node; a rule of its own for a view. */
unsigned gbnf_rule_of(struct gbnf *g, uint32_t node);
unsigned gbnf_new_rule(struct gbnf *g, const struct gbnf_view *v);
/* A value without blanks. */
void     gbnf_compact(struct gbnf *g, uint32_t node, struct buf *to);
int      gbnf_by_bytes(const void *a, const void *b); /* slices, for qsort() */

void gbnf_object(struct gbnf *g, const struct gbnf_view *v);                /* gbnf_object.c */
void gbnf_string(struct gbnf *g, const struct gbnf_view *v);                /* gbnf_text.c */
void gbnf_number(struct gbnf *g, const struct gbnf_view *v, bool integer);  /* gbnf_number.c */

#endif
