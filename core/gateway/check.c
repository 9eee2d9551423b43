/* check.c -- looks at a configuration without serving it: perilune_check(), and what commands ask of one.
 *
 *     a gateway that serves nothing --> gateway_prepare() --> findings, text --> messages
 *
 * Most of what is wrong was noted in pieces when it was found (bridge/findings.c).  The rest is text, whose place is
 * read off its beginning: only where a name stands there that belongs to this configuration, because a sentence may
 * begin with a colon's worth of anything. */
#include "gateway/gateway.h"
#include "gateway/job_keeper.h"
#include "include/perilune.h"

#include <stdio.h>
#include <stdlib.h>

/* -- Places in texts ------------------------------------------------------------------------- */

/* Does s begin with NAME:LINE: ? Then it is cut to what comes behind that. */
static bool take_place(struct slice *s, const char *name, perilune_message *m) {
    struct slice before = slice_str(name);
    if (!slice_starts(*s, before) || s->len <= before.len || s->ptr[before.len] != ':') return false;
    const char *p = s->ptr + before.len + 1, *end = s->ptr + s->len;
    int line = 0;
    while (p < end && *p >= '0' && *p <= '9' && line < 100000000) line = line * 10 + (*p++ - '0');
    if (line == 0 || p == end || *p != ':') return false;
    while (++p < end && *p == ' ') {}
    m->file = (perilune_str){ name, before.len };
    m->line = line;
    *s = slice_of(p, (size_t)(end - p));
    return true;
}

/* The file of the bundle that a text begins with. */
static bool take_any_place(struct slice *s, const struct bundle *b, perilune_message *m) {
    if (take_place(s, b->path, m)) return true;
    for (struct list *e = b->files.next; e != &b->files; e = e->next)
        if (take_place(s, container_of(e, struct bundle_file, link)->path, m)) return true;
    return false;
}

/* A policy that cannot be loaded is noted at the key that names it, and its sentence says where: that is the place. */
static void find_place_inside(struct slice text, const struct bundle *b, perilune_message *m) {
    for (struct list *e = b->files.next; e != &b->files; e = e->next) {
        const char *path = container_of(e, struct bundle_file, link)->path;
        const char *at = memmem(text.ptr, text.len, path, strlen(path));
        struct slice rest = slice_of(at, at ? (size_t)(text.ptr + text.len - at) : 0);
        if (at == NULL || !take_place(&rest, path, m)) continue;
        m->column = 0;
        return;
    }
}

/* -- Messages ---------------------------------------------------------------------------------- */

struct teller {
    void (*found)(void *ud, const perilune_message *m);
    void  *ud;
    const struct bundle *bundle; /* NULL: not even the first file could be read */
    const char *path;
};

static perilune_str str_of(struct slice s) { return (perilune_str){ s.ptr ? s.ptr : "", s.len }; }

static void tell_finding(const struct teller *t, const struct finding *f) {
    perilune_message m = { .level = f->level, .line = (int)f->line, .column = (int)f->column, .file = str_of(f->file),
                           .key = str_of(f->key), .text = str_of(f->text), .whole = str_of(f->whole) };
    find_place_inside(f->text, t->bundle, &m);
    t->found(t->ud, &m);
}

static void tell_line(const struct teller *t, int level, struct slice line) {
    perilune_message m = { .level = level, .file = { t->path, strlen(t->path) }, .key = { "", 0 },
                           .whole = str_of(line) };
    struct slice path = slice_str(t->path), rest = line;
    if ((t->bundle == NULL || !take_any_place(&rest, t->bundle, &m)) && slice_starts(rest, path) &&
        rest.len > path.len + 2 && memcmp(rest.ptr + path.len, ": ", 2) == 0)
        rest = slice_of(rest.ptr + path.len + 2, rest.len - path.len - 2);
    m.text = str_of(rest);
    t->found(t->ud, &m);
}

/* Each line that was not noted in pieces. */
static void tell_text(const struct teller *t, int level, struct slice text) {
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        struct slice line = slice_of(text.ptr, len);
        if (len > 0 && (t->bundle == NULL || !findings_have(&t->bundle->findings, line))) tell_line(t, level, line);
        len += end != NULL;
        text = slice_of(text.ptr + len, text.len - len);
    }
}

static void tell_all(const struct teller *t, const char *errmsg) {
    if (t->bundle != NULL)
        for (const struct list *l = t->bundle->findings.list.next; l != &t->bundle->findings.list; l = l->next)
            tell_finding(t, container_of((struct list *)(uintptr_t)l, struct finding, link));
    tell_text(t, PERILUNE_LOG_ERROR, slice_str(errmsg));
    if (t->bundle == NULL) return;
    tell_text(t, PERILUNE_LOG_ERROR, buf_get(&t->bundle->doubts));
    tell_text(t, PERILUNE_LOG_WARN, buf_get(&t->bundle->warnings));
}

/* -- Looking ------------------------------------------------------------------------------------- */

/* A gateway that has loaded nothing and will serve nothing. */
static int open_to_look(perilune **g, const perilune_options *like, char *err, size_t errlen) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.read = like->read;
    o.read_ud = like->read_ud;
    return perilune_open(g, &o, err, errlen);
}

/* connect: also what a gateway connects to. */
static int look(perilune *g, const char *path, bool connect, struct loaded *ld) {
    char why[900];
    int rc = gateway_prepare(g, path, ld);
    if (rc == 0 && (rc = job_keeper_check(ld->config, connect, why, sizeof(why))) != 0)
        snprintf(g->errmsg, sizeof(g->errmsg), "%s: %s", path, why);
    return rc;
}

PERILUNE_API int perilune_check(const perilune_options *options,
                                void (*found)(void *ud, const perilune_message *message), void *ud) {
    perilune_options o;
    char err[2048];
    struct teller t = { .found = found, .ud = ud, .path = "" };
    perilune *g = NULL;
    int rc = gateway_options(&o, options, err, sizeof(err));
    if (rc == 0 && o.config == NULL) {
        rc = PERILUNE_ERR_INVAL;
        snprintf(err, sizeof(err), "options.config names nothing to check");
    }
    if (rc == 0) rc = open_to_look(&g, &o, err, sizeof(err));
    if (rc != 0) {
        if (found != NULL) tell_line(&t, PERILUNE_LOG_ERROR, slice_str(err));
        return rc;
    }
    struct loaded ld = { .bundle = NULL };
    g->loading = true;
    rc = look(g, o.config, true, &ld);
    g->loading = false;
    t.bundle = ld.bundle;
    t.path = o.config;
    if (found != NULL) tell_all(&t, rc != 0 ? g->errmsg : "");
    if (rc == 0 && buf_len(&ld.bundle->doubts) > 0) rc = PERILUNE_ERR_CONFIG;
    loaded_free(g, &ld);
    perilune_close(g);
    return rc;
}

/* -- For commands ---------------------------------------------------------------------------------- */

static int ask(const char *path, struct buf *admin, struct models **models, char *err, size_t errlen) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    int rc = open_to_look(&g, &o, err, errlen);
    if (rc != 0) return rc;
    struct loaded ld = { .bundle = NULL };
    rc = look(g, path, false, &ld);
    if (rc == 0 && admin != NULL) {
        buf_puts(admin, ld.config->admin ? ld.config->admin : "");
        rc = admin->error;
    }
    if (rc == 0 && models != NULL) *models = models_ref(ld.bundle->models);
    if (rc != 0) snprintf(err, errlen, "%s", g->errmsg[0] ? g->errmsg : perilune_strerror(rc));
    loaded_free(g, &ld);
    perilune_close(g);
    return rc;
}

int gateway_admin_of(const char *path, struct buf *admin, char *err, size_t errlen) {
    return ask(path, admin, NULL, err, errlen);
}

int gateway_models(const char *path, struct models **out, char *err, size_t errlen) {
    return ask(path, NULL, out, err, errlen);
}
