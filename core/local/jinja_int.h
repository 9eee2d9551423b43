/* jinja_int.h -- what the files of the interpreter share.  See jinja_run.c. */
#ifndef PERILUNE_LOCAL_JINJA_INT_H
#define PERILUNE_LOCAL_JINJA_INT_H

#include "base/hash.h"
#include "base/mem.h"
#include "local/jinja.h"

/* -- Values (jinja_value.c, jinja_print.c) ----------------------------------- */

enum jinja_type {
    J_UNDEF, /* s: what was looked for */
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_BIG, /* s: an integer of JSON that int64_t does not hold; only printed and compared */
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_SPACE,  /* namespace() */
    J_MACRO,  /* macro */
    J_FUNC,   /* i: enum jinja_func */
    J_METHOD, /* method */
    J_LOOP    /* loop */
};

struct jinja_value {
    enum jinja_type type;
    union {
        bool                  b;
        int64_t               i;
        double                f;
        struct slice          s;
        struct jinja_list    *list; /* also of TUPLE */
        struct jinja_dict    *dict; /* also of SPACE */
        struct jinja_macro   *macro;
        struct jinja_method  *method;
        struct jinja_loop    *loop;
    };
};

struct jinja_list {
    struct jinja_value *items;
    uint32_t            len, cap;
};

struct jinja_entry {
    struct jinja_value key, value; /* the key is a STR or an INT */
    uint64_t           hash;
};

/* In the order of insertion, like Python's.  index: open addressing, of place + 1; NULL while there are few. */
struct jinja_dict {
    struct jinja_entry *entries;
    uint32_t            len, cap;
    uint32_t           *index;
    uint32_t            index_size; /* a power of two */
};

struct jinja_method { struct jinja_value self; int which; };
struct jinja_macro { const struct jinja_node *node; struct jinja_scope *scope; };
struct jinja_loop { struct jinja_list *items; uint32_t at; uint32_t depth; };

/* -- The template (jinja_lex.c, jinja_parse.c, jinja_expr.c) ------------------ */

enum jinja_tok {
    TOK_TEXT, TOK_PRINT, TOK_PRINT_END, TOK_TAG, TOK_TAG_END, TOK_NAME, TOK_STR, TOK_INT, TOK_FLOAT, TOK_OP, TOK_END
};

struct jinja_token {
    enum jinja_tok type;
    uint32_t       line;
    struct slice   s; /* a string's is decoded */
};

enum jinja_kind {
    N_TEXT,      /* value */
    N_PRINT,     /* a */
    N_IF,        /* a; list: then; other: else; an elif is an IF in other */
    N_FOR,       /* a: target; b: what; c: filter; list: body; other: else */
    N_SET,       /* a: target; b */
    N_CAPTURE,   /* a: target, NULL prints; b: expression over N_HELD, NULL: as it is; list: body */
    N_MACRO,     /* name; list: params (N_NAME, b: default); other: body */
    N_SCOPE,     /* list: generation tags, which say nothing here */
    N_BREAK,
    N_CONTINUE,
    N_CONST,     /* value */
    N_HELD,      /* what a capture took */
    N_NAME,      /* name */
    N_SPACE_REF, /* a.name as a target */
    N_LIST,      /* list */
    N_TUPLE,     /* list */
    N_DICT,      /* list: PAIRs */
    N_PAIR,      /* a, b */
    N_ATTR,      /* a.name */
    N_ITEM,      /* a[b] */
    N_SLICE,     /* a[b:c:other] */
    N_CALL,      /* a(list) */
    N_KWARG,     /* name=a */
    N_FILTER,    /* a|name(list); op: which */
    N_TEST,      /* a is name(list); op: which; flag: not */
    N_COND,      /* a if b else c */
    N_AND,
    N_OR,
    N_NOT,
    N_NEG,
    N_POS,
    N_BINARY,    /* a op b */
    N_COMPARE,   /* a; list: LINKs */
    N_LINK       /* op a */
};

enum jinja_op {
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOOR, OP_MOD, OP_POW, OP_CONCAT,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN
};

struct jinja_node {
    enum jinja_kind     kind;
    int                 op;
    bool                flag;
    uint32_t            line;
    uint32_t            height; /* of the expression: bounds the recursion of eval */
    struct slice        name;
    struct jinja_value  value;
    struct jinja_node  *a, *b, *c, *list, *other, *next;
};

struct jinja {
    struct arena       arena;
    struct jinja_node *body;
    struct slice      *names; /* that are read as variables */
    uint32_t           names_len, names_cap;
};

#define JINJA_MAX_TOKENS (1u << 18)
#define JINJA_MAX_HEIGHT 100 /* of an expression */
#define JINJA_MAX_BLOCKS 48  /* tags in tags */
#define JINJA_MAX_ARGS   16  /* of a call, and as many with names */
#define JINJA_MAX_DEPTH  400 /* levels of eval and exec while it runs, and of values in values */

struct jinja_parser {
    struct jinja       *t;
    struct jinja_token *tokens;
    uint32_t            len, cap, at;
    unsigned            depth;  /* of parens and tags */
    unsigned            loops;  /* that a break may leave */
    struct jinja_error *err;
    int                 rc; /* the first failure, for good */
};

int jinja_lex(struct jinja_parser *p, struct slice text);
/* Notes the first failure and its line. NULL, always. */
void *jinja_refuse(struct jinja_parser *p, uint32_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void *jinja_no_memory(struct jinja_parser *p);

struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_kind kind, struct jinja_node *a, struct jinja_node *b);
const struct jinja_token *jinja_peek(const struct jinja_parser *p);
bool jinja_is_op(const struct jinja_parser *p, const char *op);
bool jinja_is_name(const struct jinja_parser *p, const char *name);
bool jinja_eat_op(struct jinja_parser *p, const char *op);
bool jinja_eat_name(struct jinja_parser *p, const char *name);
/* False, and refused: something else stands there. */
bool jinja_want_op(struct jinja_parser *p, const char *op);

/* NULL: refused, p->rc says why. */
struct jinja_node *jinja_parse_expr(struct jinja_parser *p);
struct jinja_node *jinja_parse_or(struct jinja_parser *p);   /* without `x if y` */
struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, struct jinja_node *(*one)(struct jinja_parser *));
struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *of); /* |a|b ... */
struct jinja_node *jinja_parse_filter(struct jinja_parser *p, struct jinja_node *of);  /* behind the | */
struct jinja_node *jinja_parse_body(struct jinja_parser *p);

/* -- Running (jinja_eval.c, jinja_run.c) -------------------------------------- */

struct jinja_binding {
    struct slice          name;
    struct jinja_value    value;
    struct jinja_binding *next;
};

struct jinja_scope {
    struct jinja_scope   *parent;
    struct jinja_binding *first;
};

struct jinja_run {
    struct arena        arena;
    size_t              memory; /* bytes that are left */
    uint64_t            steps;  /* that are left */
    unsigned            depth;
    uint32_t            line; /* that runs */
    uint32_t            loops;
    struct jinja_scope *scope;
    struct jinja_value  held; /* N_HELD */
    struct buf         *out;
    int64_t             now;
    struct hash_key     key;
    struct jinja_error *err;
};

struct jinja_args {
    struct jinja_value v[JINJA_MAX_ARGS];
    unsigned           len;
    struct { struct slice name; struct jinja_value v; } named[JINJA_MAX_ARGS];
    unsigned           named_len;
};

/* Returns rc, PERILUNE_ERR_INVAL mostly. */
int   jinja_fail(struct jinja_run *r, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int   jinja_charge(struct jinja_run *r, size_t steps);        /* 0, or PERILUNE_ERR_LIMITED and said */
int   jinja_charge_bytes(struct jinja_run *r, size_t bytes);
void *jinja_alloc(struct jinja_run *r, size_t size);          /* NULL: said */
/* What jinja_alloc() left behind when it returned NULL. */
int   jinja_out_of(const struct jinja_run *r);
int   jinja_enter(struct jinja_run *r);                       /* one level deeper; leave only when 0 */
static inline void jinja_leave(struct jinja_run *r) { r->depth--; }

int jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out);
int jinja_call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args,
                     struct jinja_value *out);
int jinja_bind(struct jinja_run *r, struct slice name, struct jinja_value v); /* in the innermost scope */

/* -- Values --------------------------------------------------------------------- */

#define J(kind) ((struct jinja_value){ .type = (kind) })
static inline struct jinja_value j_bool(bool b) { return (struct jinja_value){ .type = J_BOOL, .b = b }; }
static inline struct jinja_value j_int(int64_t i) { return (struct jinja_value){ .type = J_INT, .i = i }; }
static inline struct jinja_value j_float(double f) { return (struct jinja_value){ .type = J_FLOAT, .f = f }; }
static inline struct jinja_value j_str(struct slice s) { return (struct jinja_value){ .type = J_STR, .s = s }; }
static inline struct jinja_value j_undef(struct slice s) { return (struct jinja_value){ .type = J_UNDEF, .s = s }; }
static inline bool j_is_list(const struct jinja_value *v) { return v->type == J_LIST || v->type == J_TUPLE; }
static inline bool j_is_int(const struct jinja_value *v) { return v->type == J_INT || v->type == J_BOOL; }
static inline int64_t j_to_int(const struct jinja_value *v) { return v->type == J_BOOL ? v->b : v->i; }
static inline bool j_is_number(const struct jinja_value *v) { return j_is_int(v) || v->type == J_FLOAT; }
static inline double j_to_float(const struct jinja_value *v) {
    return v->type == J_FLOAT ? v->f : (double)j_to_int(v);
}

const char *jinja_type_name(const struct jinja_value *v); /* Python's: "str", "dict" ... */
bool jinja_truth(const struct jinja_value *v);
int  jinja_new_list(struct jinja_run *r, enum jinja_type type, uint32_t cap, struct jinja_value *out);
int  jinja_push(struct jinja_run *r, struct jinja_list *l, struct jinja_value v);
int  jinja_new_dict(struct jinja_run *r, enum jinja_type type, struct jinja_value *out);
int  jinja_dict_set(struct jinja_run *r, struct jinja_dict *d, struct jinja_value key, struct jinja_value v);
/* NULL: not there. */
struct jinja_entry *jinja_dict_get(const struct jinja_run *r, const struct jinja_dict *d,
                                   const struct jinja_value *key);
int  jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out);
/* Order of numbers and of strings; anything else fails. *out < 0, 0, > 0. */
int  jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, int *out);
int  jinja_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *what, bool *out);
int  jinja_attr(struct jinja_run *r, const struct jinja_value *of, struct slice name,
                struct jinja_value *out); /* a.b */
int  jinja_item(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *key,
                struct jinja_value *out); /* a[b] */
int  jinja_slice(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value bounds[3],
                 struct jinja_value *out);
/* What a `for` walks over, as a list; the list itself where it is one. */
int  jinja_iterate(struct jinja_run *r, const struct jinja_value *of, struct jinja_list **out);
int  jinja_length(struct jinja_run *r, const struct jinja_value *of, int64_t *out);
int  jinja_copy(struct jinja_run *r, struct slice s, struct slice *out);

int  jinja_from_json(struct jinja_run *r, const struct json_doc *doc, uint32_t node, bool borrow,
                     struct jinja_value *out);
/* str(v).  A STR is itself. */
int  jinja_text(struct jinja_run *r, const struct jinja_value *v, struct slice *out);
/* repr(v) appended; jinja_text() of what is in lists. */
int  jinja_repr(struct jinja_run *r, const struct jinja_value *v, struct buf *to);
int  jinja_print(struct jinja_run *r, const struct jinja_value *v, struct buf *to);
struct jinja_json { bool ascii, sort; struct slice indent, item, colon; bool lines; };
int  jinja_to_json(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json *how, struct buf *to);
/* A buffer becomes a text of the run; frees b in any case. */
int  jinja_take(struct jinja_run *r, struct buf *b, struct slice *out);
void jinja_buf(const struct jinja_run *r, struct buf *b); /* whose limit is what memory is left */

/* -- What templates call (jinja_filter.c, jinja_seq.c, jinja_test.c, jinja_method.c) -------- */

int jinja_filter_find(struct slice name); /* -1: none */
int jinja_filter(struct jinja_run *r, int which, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out);
int jinja_test_find(struct slice name);
int jinja_test(struct jinja_run *r, int which, const struct jinja_value *in, const struct jinja_args *a, bool *out);
#define JINJA_CYCLE 1000 /* no value has this method; loops do, in jinja_eval.c */
int jinja_method_find(struct slice name); /* -1: none */
/* Has a value of this type a method of this name? */
bool jinja_has_method(const struct jinja_value *v, int which);
int jinja_method(struct jinja_run *r, const struct jinja_method *m, const struct jinja_args *a,
                 struct jinja_value *out);
enum jinja_func { F_RANGE, F_NAMESPACE, F_DICT, F_RAISE, F_STRFTIME_NOW };
int jinja_func_find(struct slice name);
int jinja_func(struct jinja_run *r, int which, const struct jinja_args *a, struct jinja_value *out);
/* The argument at place or of that name; NULL: not given. */
const struct jinja_value *jinja_arg(const struct jinja_args *a, unsigned place, const char *name);
/* Fails when there are more than max, or one with a name that is not in names ("a b c"). */
int jinja_check_args(struct jinja_run *r, const struct jinja_args *a, unsigned min, unsigned max, const char *names,
                     const char *whose);

/* Text (jinja_str.c): characters are code points. */
size_t       jinja_chars(struct slice s);
size_t       jinja_char_at(struct slice s, size_t n); /* byte offset of character n, or s.len */
struct slice jinja_strip(struct slice s, const struct slice *set, bool left, bool right);
int          jinja_split(struct jinja_run *r, struct slice s, const struct slice *by, int64_t most, bool from_end,
                         struct jinja_value *out);
int          jinja_replace(struct jinja_run *r, struct slice s, struct slice old, struct slice by, int64_t most,
                           struct jinja_value *out);
enum jinja_case { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_CAPITAL };
int          jinja_recase(struct jinja_run *r, struct slice s, enum jinja_case how, struct jinja_value *out);
int          jinja_indent(struct jinja_run *r, struct slice s, struct slice by, bool first, bool blank,
                          struct jinja_value *out);
/* "..." % values, where the directives are %s %d %i %r %x %f %.Nf %%. */
int          jinja_percent(struct jinja_run *r, struct slice fmt, const struct jinja_value *of,
                           struct jinja_value *out);
/* "...".format(...): {} {0} {name}, with nothing behind. */
int          jinja_format(struct jinja_run *r, struct slice fmt, const struct jinja_args *a, struct jinja_value *out);
unsigned     jinja_space(struct slice s); /* bytes of the white space that it begins with one of; 0: none */
unsigned     jinja_space_before(struct slice s); /* that it ends with */

#endif
