/* models.c -- from a model's name to what counting its tokens needs.
 *
 *     "openai/gpt-4o-2024-08-06"
 *         added patterns     whole name, then "gpt-4o-2024-08-06"   (the operator's)
 *         defaults           "gpt-4o*"  -> o200k_base, OpenAI's form, its own vocabulary
 *                            "*"        -> o200k_base, not its own
 *
 * Of several patterns that fit, the one with the most characters besides its stars
 * decides; among equals the one without a star, then the one that was added first.
 *
 * The three vocabularies of OpenAI are inside the program.  For everything else the
 * nearest of them stands in, and `exact` is false: within some percent for English, more
 * for Chinese, until the operator names the model's own file.  Which form a prompt
 * takes is known for the common families whatever vocabulary is used.
 *
 * A table lives as long as a configuration and is shared by all threads.  When a
 * configuration is loaded again, files that did not change keep their mapping, and with
 * it the counts that workers remember. */
#include "tokens/models.h"

#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "include/perilune.h"

#define NAME_MAX_LEN 256 /* longer names of models are looked at up to here */

enum builtin { CL100K, O200K, HARMONY, BUILTINS };
static const char *const builtin_names[BUILTINS] = { "cl100k_base", "o200k_base", "o200k_harmony" };

/* ORDER: what says most comes first.
 * Sources: OpenAI's tiktoken (model.py) for its own; model cards for the forms. */
static const struct {
    const char    *pattern;
    enum builtin   vocab;
    enum chat_form form;
    bool           exact;
} defaults[] = {
    { "text-embedding-ada-002", CL100K, FORM_OPENAI, true },
    { "text-embedding-3*", CL100K, FORM_OPENAI, true },
    { "computer-use-*", O200K, FORM_OPENAI, true },
    { "meta-llama*", O200K, FORM_LLAMA3, false },
    { "chatgpt-*", O200K, FORM_OPENAI, true },
    { "deepseek*", O200K, FORM_DEEPSEEK, false },
    { "gpt-3.5*", CL100K, FORM_OPENAI, true },
    { "gpt-4.1*", O200K, FORM_OPENAI, true },
    { "gpt-4.5*", O200K, FORM_OPENAI, true },
    { "gpt-oss*", HARMONY, FORM_HARMONY, true },
    { "gpt-35*", CL100K, FORM_OPENAI, true }, /* Azure's spelling */
    { "gpt-4-*", CL100K, FORM_OPENAI, true },
    { "gpt-4o*", O200K, FORM_OPENAI, true },
    { "codex-*", O200K, FORM_OPENAI, true },
    { "doubao*", O200K, FORM_OPENAI, false },
    { "claude*", O200K, FORM_OPENAI, false },
    { "gemini*", O200K, FORM_OPENAI, false },
    { "gpt-4", CL100K, FORM_OPENAI, true },
    { "gpt-5*", O200K, FORM_OPENAI, true },
    { "llama*", O200K, FORM_LLAMA3, false },
    { "gpt-*", O200K, FORM_OPENAI, false },
    { "qwen*", O200K, FORM_CHATML, false },
    { "qwq*", O200K, FORM_CHATML, false },
    { "qvq*", O200K, FORM_CHATML, false },
    { "o1*", O200K, FORM_OPENAI, true },
    { "o3*", O200K, FORM_OPENAI, true },
    { "o4*", O200K, FORM_OPENAI, true },
    { "*", O200K, FORM_OPENAI, false },
};

struct source { /* a vocabulary, and which file it was */
    char         *path; /* NULL: a built-in */
    struct stat   st;
    struct vocab *vocab;
};

struct pattern {
    char          *text;
    struct vocab  *vocab; /* of a source */
    enum chat_form form;
};

struct models {
    atomic_uint     refs;
    struct source  *sources; /* the first are the built-ins */
    unsigned        source_count;
    struct pattern *patterns;
    unsigned        pattern_count;
};

/* -- Forms ------------------------------------------------------------------------------ */

static const char *const forms[FORM_KINDS] = { "openai", "harmony", "chatml", "llama3", "deepseek" };

const char *chat_form_name(enum chat_form form) { return forms[form]; }

/* false: there is none of this name. */
static bool form_of(const char *name, enum chat_form *out) {
    for (int i = 0; i < FORM_KINDS; i++)
        if (strcmp(forms[i], name) == 0) {
            *out = (enum chat_form)i;
            return true;
        }
    return false;
}

/* -- Matching ---------------------------------------------------------------------------- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c; }

static bool same_letter(char a, char b) { return a == b || lower(a) == lower(b); }

/* Linear in practice: the last star is the only place it goes back to. */
static bool fits(const char *pattern, struct slice name) {
    const char *p = pattern, *star = NULL;
    size_t i = 0, star_at = 0;
    while (i < name.len) {
        if (*p == '*') {
            star = p++;
            star_at = i;
        } else if (*p != '\0' && same_letter(*p, name.ptr[i])) {
            p++;
            i++;
        } else if (star != NULL) {
            p = star + 1;
            i = ++star_at;
        } else {
            return false;
        }
    }
    while (*p == '*') p++;
    return *p == '\0';
}

/* How much a pattern says: characters of its own, and one point for having no star. */
static size_t weight(const char *pattern) {
    size_t n = 0, stars = 0;
    for (const char *p = pattern; *p != '\0'; p++) *p == '*' ? stars++ : n++;
    return 2 * n + (stars == 0);
}

static const struct pattern *find_added(const struct models *m, struct slice name) {
    const struct pattern *best = NULL;
    for (unsigned i = 0; i < m->pattern_count; i++) {
        const struct pattern *p = &m->patterns[i];
        if (fits(p->text, name) && (best == NULL || weight(p->text) > weight(best->text))) best = p;
    }
    return best;
}

/* Asked several times per request: most patterns differ in the first letter. */
static size_t find_default(struct slice name) {
    char first = name.len > 0 ? lower(name.ptr[0]) : '\0';
    for (size_t i = 0;; i++) { /* the last is "*" */
        char own = defaults[i].pattern[0];
        if ((own == first || own == '*') && fits(defaults[i].pattern, name)) return i;
    }
}

/* "openai/gpt-4o" -> "gpt-4o", "ft:gpt-4o:org::id" -> "gpt-4o:org::id" */
static struct slice last_part(struct slice name) {
    for (size_t i = name.len; i > 0; i--)
        if (name.ptr[i - 1] == '/') {
            name = slice_of(name.ptr + i, name.len - i);
            break;
        }
    if (name.len > 3 && strncasecmp(name.ptr, "ft:", 3) == 0) name = slice_of(name.ptr + 3, name.len - 3);
    return name;
}

void models_find(const struct models *m, struct slice name, struct model *out) {
    if (name.len > NAME_MAX_LEN) name.len = NAME_MAX_LEN;
    struct slice part = last_part(name);
    size_t d = find_default(part);
    *out = (struct model){ .vocab = m->sources[defaults[d].vocab].vocab, .form = defaults[d].form,
                           .exact = defaults[d].exact };
    out->image = image_rule_of(part, &out->image_known);
    const struct pattern *p = find_added(m, name);
    if (p == NULL && part.len < name.len) p = find_added(m, part);
    if (p == NULL) return;
    out->vocab = p->vocab;
    out->form = p->form;
    out->exact = true;
}

/* -- Building ------------------------------------------------------------------------------ */

static struct source *add_source(struct models *m) {
    struct source *all = mem_realloc(m->sources, (m->source_count + 1) * sizeof(*all));
    if (all == NULL) return NULL;
    m->sources = all;
    struct source *s = &all[m->source_count++];
    memset(s, 0, sizeof(*s));
    return s;
}

struct models *models_new(const struct models *old) {
    struct models *m = mem_zalloc(sizeof(*m));
    if (m == NULL) return NULL;
    atomic_init(&m->refs, 1);
    for (unsigned i = 0; i < BUILTINS; i++) {
        struct source *s = add_source(m);
        if (s != NULL) s->vocab = old ? vocab_ref(old->sources[i].vocab) : vocab_builtin(slice_str(builtin_names[i]));
        if (s != NULL && s->vocab != NULL) continue;
        models_put(m);
        return NULL;
    }
    /* What the old one had open is kept at hand until models_done(). */
    for (unsigned i = BUILTINS; old != NULL && i < old->source_count; i++) {
        const struct source *from = &old->sources[i];
        struct source *s = from->path ? add_source(m) : NULL;
        if (s == NULL) continue; /* it will be opened again */
        *s = (struct source){ .path = mem_strdup(from->path), .st = from->st, .vocab = vocab_ref(from->vocab) };
        if (s->path == NULL) vocab_put(m->sources[--m->source_count].vocab);
    }
    return m;
}

struct models *models_ref(struct models *m) {
    if (m) atomic_fetch_add(&m->refs, 1);
    return m;
}

void models_put(struct models *m) {
    if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1) return;
    for (unsigned i = 0; i < m->source_count; i++) {
        mem_free(m->sources[i].path);
        vocab_put(m->sources[i].vocab);
    }
    for (unsigned i = 0; i < m->pattern_count; i++) mem_free(m->patterns[i].text);
    mem_free(m->sources);
    mem_free(m->patterns);
    mem_free(m);
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int open_file(struct models *m, const char *path, struct vocab **out, char *message, size_t size) {
    struct stat st;
    memset(&st, 0, sizeof(st));
    bool there = stat(path, &st) == 0;
    for (unsigned i = BUILTINS; i < m->source_count && there; i++) {
        struct source *s = &m->sources[i];
        if (s->path == NULL || strcmp(s->path, path) != 0 || !same_file(&s->st, &st)) continue;
        *out = s->vocab;
        return 0;
    }
    struct vocab *v;
    int rc = vocab_open(path, &v, message, size);
    if (rc != 0) return rc;
    struct source *s = add_source(m);
    char *copy = s ? mem_strdup(path) : NULL;
    if (copy == NULL) {
        if (s != NULL) m->source_count--;
        vocab_put(v);
        snprintf(message, size, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    *s = (struct source){ .path = copy, .st = st, .vocab = v };
    *out = v;
    return 0;
}

static struct vocab *builtin_of(const struct models *m, const char *name) {
    for (unsigned i = 0; i < BUILTINS; i++)
        if (strcmp(builtin_names[i], name) == 0) return m->sources[i].vocab;
    return NULL;
}

/* A pattern's own letters are a name: what the defaults say of it. */
static enum chat_form form_of_pattern(const char *pattern, bool harmony) {
    char name[NAME_MAX_LEN];
    size_t n = 0;
    for (const char *p = pattern; *p != '\0' && n < sizeof(name); p++)
        if (*p != '*') name[n++] = *p;
    if (harmony) return FORM_HARMONY;
    return defaults[find_default(last_part(slice_of(name, n)))].form;
}

int models_add(struct models *m, const char *pattern, const char *vocabulary, const char *form, char *message,
               size_t size) {
    struct pattern p = { .vocab = builtin_of(m, vocabulary) };
    p.form = form_of_pattern(pattern, p.vocab == m->sources[HARMONY].vocab);
    if (form != NULL && !form_of(form, &p.form)) {
        snprintf(message, size, "there is no chat form '%s'", form);
        return PERILUNE_ERR_INVAL;
    }
    int rc = p.vocab ? 0 : open_file(m, vocabulary, &p.vocab, message, size);
    if (rc != 0 && strpbrk(vocabulary, "./") == NULL)
        snprintf(message, size, "there is no vocabulary '%s', and no file; there are %s, %s and %s", vocabulary,
                 builtin_names[CL100K], builtin_names[O200K], builtin_names[HARMONY]);
    if (rc != 0) return rc;
    p.text = mem_strdup(pattern);
    struct pattern *all = p.text ? mem_realloc(m->patterns, (m->pattern_count + 1) * sizeof(*all)) : NULL;
    if (all == NULL) {
        mem_free(p.text);
        snprintf(message, size, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    m->patterns = all;
    all[m->pattern_count++] = p;
    return 0;
}

static bool has_pattern_for(const struct models *m, const struct vocab *v) {
    for (unsigned i = 0; i < m->pattern_count; i++)
        if (m->patterns[i].vocab == v) return true;
    return false;
}

void models_done(struct models *m) {
    unsigned n = BUILTINS;
    for (unsigned i = BUILTINS; i < m->source_count; i++) {
        struct source s = m->sources[i];
        if (has_pattern_for(m, s.vocab)) {
            m->sources[n++] = s;
        } else {
            mem_free(s.path);
            vocab_put(s.vocab);
        }
    }
    m->source_count = n;
}

bool models_use(const struct models *m, const struct vocab *v) {
    for (unsigned i = 0; i < m->source_count; i++)
        if (m->sources[i].vocab == v) return true;
    return false;
}

const char *models_file(const struct models *m, unsigned i) {
    return i < m->source_count - BUILTINS ? m->sources[BUILTINS + i].path : NULL;
}
