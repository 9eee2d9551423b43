/* bundle.c -- a configuration's files, read once by the loading thread.
 *
 * While the checker runs the configuration, every policy that it asks for is read
 * and remembered.  Then the bundle is frozen and handed to all workers, which run
 * the same bytes: no thread can see a file that changed in between.
 *
 * Where a host has the texts (perilune_options.read), its names are paths: the same
 * places are looked at, and the file system is not. */
#include "bridge/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "bridge/state.h"
#include "include/perilune.h"
#include "sys/mailbox.h"
#include "tokens/models.h"

#define FILE_MAX (4 * 1024 * 1024)
#define DATA_MAX (256 * 1024 * 1024) /* a table of vectors is the largest: 200,019 rows of 1,024 bytes */
#define DOUBTS_MAX (16 * 1024)
#define LIST_MOST 1024 /* files of a folder */

static int ask_host(const struct bundle_host *h, const char *name, perilune_str *s) {
    if (h->reads != NULL) *h->reads = true;
    int rc = h->read(h->ud, name, s);
    if (h->reads != NULL) *h->reads = false;
    return rc;
}

/* What the host has of that name.  NULL: err says why not; *missing: because there is no such thing. */
static struct blob *read_host(const struct bundle_host *h, const char *name, size_t most, bool *missing, char *err,
                              size_t errlen) {
    perilune_str s = { "", 0 };
    int rc = ask_host(h, name, &s);
    *missing = rc == 0;
    if (rc == 0) snprintf(err, errlen, "%s: the host has no text of this name", name);
    else if (rc < 0) snprintf(err, errlen, "%s: the host cannot give it: %s", name, perilune_strerror(rc));
    else if (s.ptr == NULL && s.len > 0) snprintf(err, errlen, "%s: the host gave a length and no text", name);
    else if (s.len > most) snprintf(err, errlen, "%s: is over %zu MiB", name, most >> 20);
    else {
        struct blob *text = blob_copy(slice_of(s.ptr, s.len));
        if (text == NULL) snprintf(err, errlen, "%s: out of memory", name);
        return text;
    }
    return NULL;
}

static struct blob *read_file(const char *path, size_t most, char *err, size_t errlen) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct buf b;
    buf_init(&b, most);
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && !buf_failed(&b)) buf_put(&b, chunk, n);
    bool bad = ferror(f) != 0;
    fclose(f);
    struct blob *text = bad || buf_failed(&b) ? NULL : blob_take(&b);
    if (bad) snprintf(err, errlen, "%s: cannot be read (is it a directory?)", path);
    else if (b.error == PERILUNE_ERR_LIMITED) snprintf(err, errlen, "%s: is over %zu MiB", path, most >> 20);
    else if (text == NULL) snprintf(err, errlen, "%s: out of memory", path);
    buf_deinit(&b);
    return text;
}

/* From wherever the bundle's texts are. */
static struct blob *read_text(const struct bundle *b, const char *path, size_t most, bool *missing, char *err,
                              size_t errlen) {
    if (b->host.read != NULL) return read_host(&b->host, path, most, missing, err, errlen);
    *missing = access(path, F_OK) != 0 && errno == ENOENT;
    return read_file(path, most, err, errlen);
}

struct bundle *bundle_new(const char *path, bool spec) {
    struct bundle *b = mem_zalloc(sizeof(*b));
    if (b == NULL) return NULL;
    list_init(&b->files);
    findings_init(&b->findings);
    buf_init(&b->doubts, DOUBTS_MAX);
    buf_init(&b->warnings, DOUBTS_MAX);
    b->spec = spec;
    b->path = mem_strdup(path);
    if (b->path != NULL) return b;
    mem_free(b);
    return NULL;
}

int bundle_open_from(struct bundle **out, const struct bundle_host *host, const char *path, bool spec, char *err,
                     size_t errlen) {
    *out = NULL;
    bool missing;
    struct bundle *b = bundle_new(path, spec);
    if (b == NULL) {
        snprintf(err, errlen, "%s: out of memory", path);
        return PERILUNE_ERR_NOMEM;
    }
    b->host = *host;
    b->text = read_text(b, path, FILE_MAX, &missing, err, errlen);
    if (b->text != NULL) {
        *out = b;
        return 0;
    }
    bundle_free(b);
    return PERILUNE_ERR_CONFIG;
}

int bundle_open(struct bundle **out, const char *path, bool spec, char *err, size_t errlen) {
    static const struct bundle_host none;
    return bundle_open_from(out, &none, path, spec, err, errlen);
}

static void file_free(struct bundle_file *f) {
    mem_free(f->name);
    mem_free(f->path);
    blob_put(f->text);
    mem_free(f);
}

/* Folder of the bundle's file, with the slash. */
static int folder_len(const struct bundle *b) {
    const char *slash = strrchr(b->path, '/');
    return slash ? (int)(slash + 1 - b->path) : 0;
}

static void put_file(struct buf *out, const char *path, const struct blob *text) {
    buf_printf(out, "%s\n%zu\n", path ? path : "", blob_get(text).len);
    buf_slice(out, blob_get(text));
}

bool bundle_digest(const struct bundle *b, unsigned char digest[32]) {
    struct buf all;
    buf_init(&all, 0);
    int folder = folder_len(b);
    put_file(&all, b->path + folder, b->text);
    for (const struct list *l = b->files.next; l != &b->files; l = l->next) {
        const struct bundle_file *f = container_of((struct list *)(uintptr_t)l, struct bundle_file, link);
        bool below = strncmp(f->path, b->path, (size_t)folder) == 0;
        put_file(&all, f->path + (below ? folder : 0), f->text);
    }
    bool ok = !buf_failed(&all) && sha256_of(buf_get(&all), digest);
    buf_deinit(&all);
    return ok;
}

void bundle_free(struct bundle *b) {
    if (b == NULL) return;
    while (!list_is_empty(&b->files)) {
        struct bundle_file *f = container_of(b->files.next, struct bundle_file, link);
        list_remove(&f->link);
        file_free(f);
    }
    findings_deinit(&b->findings);
    buf_deinit(&b->doubts);
    buf_deinit(&b->warnings);
    models_put(b->models);
    models_put(b->models_before);
    mem_free(b->path);
    blob_put(b->text);
    mem_free(b);
}

/* -- Policies ---------------------------------------------------------------------- */

static struct bundle_file *find(const struct bundle *b, const char *name) {
    for (struct list *e = b->files.next; e != &b->files; e = e->next) {
        struct bundle_file *f = container_of(e, struct bundle_file, link);
        if (strcmp(f->name, name) == 0) return f;
    }
    return NULL;
}

static struct bundle_file *remember(struct bundle *b, const char *name, const char *path, struct blob *text) {
    struct bundle_file *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        blob_put(text);
        return NULL;
    }
    f->text = text;
    f->name = mem_strdup(name);
    f->path = mem_strdup(path);
    if (f->name == NULL || f->path == NULL) {
        file_free(f);
        return NULL;
    }
    list_append(&b->files, &f->link);
    return f;
}

/* Tries one place. 1: found, 0: not there, -1: there, but broken (err is set). */
static int try_path(struct bundle *b, const char *name, const char *path, struct bundle_file **out,
                    char *err, size_t errlen) {
    bool missing;
    struct blob *text = read_text(b, path, FILE_MAX, &missing, err, errlen);
    if (text == NULL) return missing ? 0 : -1;
    *out = remember(b, name, path, text);
    if (*out == NULL) snprintf(err, errlen, "out of memory");
    return *out ? 1 : -1;
}

/* "lib.util" -> "lib/util.lua".  Each part is a name, so no part leads out of the folder. */
static void file_of(const char *name, char *out, size_t size) {
    snprintf(out, size, "%s", name);
    for (char *p = out; *p; p++)
        if (*p == '.') *p = '/';
}

/* A dotted name is also looked for beside policies/, where people keep what several policies share. */
static int look_beside(struct bundle *b, const char *name, struct bundle_file **out, char *err, size_t errlen) {
    static const char *const places[] = { "policies/", "", "../policies/", "../" };
    bool dotted = strchr(name, '.') != NULL;
    int rc = 0, count = b->spec ? 3 + dotted : 1 + dotted;
    char file[128];
    file_of(name, file, sizeof(file));
    for (int i = 0; rc == 0 && i < count; i++) {
        char path[1200];
        snprintf(path, sizeof(path), "%.*s%s%s.lua", folder_len(b), b->path, places[i], file);
        rc = try_path(b, name, path, out, err, errlen);
    }
    return rc;
}

struct blob *bundle_data(struct bundle *b, const char *name, char *err, size_t errlen) {
    char path[1200];
    struct bundle_file *f = b ? find(b, name) : NULL;
    snprintf(err, errlen, "files are read while the configuration loads");
    if (f == NULL && b != NULL && !b->frozen) {
        snprintf(path, sizeof(path), "%.*s%s", name[0] == '/' ? 0 : folder_len(b), b->path, name);
        bool missing;
        struct blob *bytes = read_text(b, path, DATA_MAX, &missing, err, errlen);
        f = bytes != NULL ? remember(b, name, path, bytes) : NULL;
        if (bytes != NULL && f == NULL) snprintf(err, errlen, "out of memory");
    }
    return f != NULL ? f->text : NULL;
}

/* As l_policy_source(), but any file: its path is seen from the configuration's folder.  With `whole` false the
 * file is read, and true comes instead of its bytes. */
int l_bundle_file(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    bool whole = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
    char err[1200];
    struct blob *bytes = bundle_data((struct bundle *)(uintptr_t)state_of(L)->bundle, name, err, sizeof(err));
    if (bytes != NULL) {
        if (whole) lua_pushlstring(L, bytes->data, bytes->len);
        else lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err);
    return 2;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names of files in the folder that end in suffix, a line each, in order.  NULL, and err says why not. */
static struct blob *list_folder(const char *path, const char *suffix, char *err, size_t errlen) {
    DIR *d = opendir(path);
    if (d == NULL) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *names[LIST_MOST];
    unsigned n = 0;
    struct buf out;
    const struct dirent *e;
    buf_init(&out, 0);
    while ((e = readdir(d)) != NULL && n < LIST_MOST) {
        bool wanted = e->d_name[0] != '.' && slice_ends(slice_str(e->d_name), slice_str(suffix));
        if (wanted && (names[n] = mem_strdup(e->d_name)) != NULL) n++;
    }
    closedir(d);
    qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(&out, "%s\n", names[i]);
        mem_free(names[i]);
    }
    snprintf(err, errlen, n < LIST_MOST ? "%s: out of memory" : "%s: holds 1024 files or more", path);
    struct blob *text = n < LIST_MOST && !buf_failed(&out) ? blob_take(&out) : NULL;
    buf_deinit(&out);
    return text;
}

/* The host says them itself, as the text of "FOLDER/". */
static struct blob *list_host(const struct bundle *b, const char *path, const char *suffix, char *err, size_t errlen) {
    char name[1300];
    bool missing;
    snprintf(name, sizeof(name), "%s/", path);
    struct blob *all = read_text(b, name, FILE_MAX, &missing, err, errlen);
    if (all == NULL) return NULL;
    struct buf out;
    buf_init(&out, 0);
    for (struct slice rest = blob_get(all); rest.len > 0;) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        struct slice line = slice_of(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
        if (line.len > 0 && slice_ends(line, slice_str(suffix))) buf_printf(&out, "%.*s\n", SLICE_ARG(line));
        rest = slice_of(line.ptr + line.len + (end != NULL), rest.len - line.len - (end != NULL));
    }
    snprintf(err, errlen, "out of memory");
    struct blob *text = buf_failed(&out) ? NULL : blob_take(&out);
    buf_deinit(&out);
    blob_put(all);
    return text;
}

/* core.bundle_list(folder, suffix) -> names, a line each | nil, err: as of core.bundle_file().  A folder that changes
 * is looked at like a file. */
int l_bundle_list(lua_State *L) {
    const char *folder = luaL_checkstring(L, 1), *suffix = luaL_checkstring(L, 2);
    struct bundle *b = (struct bundle *)(uintptr_t)state_of(L)->bundle;
    char name[1200], path[1200], err[1300] = "files are read while the configuration loads";
    snprintf(name, sizeof(name), "%s/*%s", folder, suffix);
    struct bundle_file *f = b ? find(b, name) : NULL;
    if (f == NULL && b != NULL && !b->frozen) {
        snprintf(path, sizeof(path), "%.*s%s", folder[0] == '/' ? 0 : folder_len(b), b->path, folder);
        struct blob *text = b->host.read ? list_host(b, path, suffix, err, sizeof(err))
                                         : list_folder(path, suffix, err, sizeof(err));
        f = text != NULL ? remember(b, name, path, text) : NULL;
    }
    if (f != NULL) {
        lua_pushlstring(L, f->text->data, f->text->len);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err);
    return 2;
}

/* core.policy_names() -> names of the installed policies */
int l_policy_names(lua_State *L) {
    lua_newtable(L);
    const char *name;
    int n = 0;
    for (unsigned i = 0; (name = embedded_name(i)) != NULL; i++) {
        if (strncmp(name, "policies/", 9) != 0) continue;
        lua_pushlstring(L, name + 9, strlen(name) - 9 - 4);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* core.is_folder(path) */
int l_is_folder(lua_State *L) {
    struct stat st;
    lua_pushboolean(L, stat(luaL_checkstring(L, 1), &st) == 0 && S_ISDIR(st.st_mode));
    return 1;
}

/* The first state notes it for `check` and the log; the others run the same bytes.  A spec fails. */
int l_policy_doubt(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool is_warning = lua_toboolean(L, 2);
    struct bundle *b = (struct bundle *)(uintptr_t)state_of(L)->bundle;
    lua_settop(L, 1);
    if (!is_warning && (b == NULL || b->spec)) return lua_error(L);
    if (b == NULL || b->frozen) return 0;
    struct buf *out = is_warning ? &b->warnings : &b->doubts;
    struct slice told = buf_get(out);
    if (told.len > 0 && memmem(told.ptr, told.len, text, len) != NULL) return 0; /* a policy of several routes */
    buf_put(out, text, len); /* over the limit: the rest is not said */
    buf_putc(out, '\n');
    return 0;
}

/* core.finding(is_warning, file, line|nil, column|nil, key, text): what config.format() writes as one line, in pieces.
 * Kept for perilune_check(). */
int l_finding(lua_State *L) {
    struct bundle *b = (struct bundle *)(uintptr_t)state_of(L)->bundle;
    struct finding f = { .level = lua_toboolean(L, 1) ? PERILUNE_LOG_WARN : PERILUNE_LOG_ERROR,
                         .line = (unsigned)lua_tointeger(L, 3), .column = (unsigned)lua_tointeger(L, 4) };
    size_t len;
    f.file.ptr = luaL_checklstring(L, 2, &len);
    f.file.len = len;
    f.key.ptr = luaL_checklstring(L, 5, &len);
    f.key.len = len;
    f.text.ptr = luaL_checklstring(L, 6, &len);
    f.text.len = len;
    if (b != NULL && !b->frozen) findings_add(&b->findings, &f);
    return 0;
}

/* Names with dots between them. */
static bool is_name(const char *s) {
    char before = '.';
    for (const char *p = s; *p; before = *p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        bool dot = *p == '.' && before != '.';
        if (!letter && !(*p >= '0' && *p <= '9') && *p != '_' && *p != '-' && !dot) return false;
    }
    return before != '.';
}

int l_policy_source(lua_State *L) {
    size_t name_len;
    const char *name = luaL_checklstring(L, 1, &name_len);
    struct bundle *b = (struct bundle *)(uintptr_t)state_of(L)->bundle;
    char err[1200] = "";
    if (!is_name(name) || name_len > 100 || strlen(name) != name_len) {
        lua_pushnil(L);
        lua_pushfstring(L, "'%s' is not the name of a policy or module (letters, digits, _ and -, dots for folders)",
                        name);
        return 2;
    }
    thread_yield(); /* what comes next is compiled */
    struct bundle_file *f = b ? find(b, name) : NULL;
    int rc = f ? 1 : 0;
    if (f == NULL && b != NULL && !b->frozen) rc = look_beside(b, name, &f, err, sizeof(err));
    if (rc == 1) {
        lua_pushlstring(L, f->text->data, f->text->len);
        lua_pushstring(L, f->path);
        return 2;
    }
    char path[160], file[128];
    size_t len;
    file_of(name, file, sizeof(file));
    snprintf(path, sizeof(path), "policies/%s.lua", file);
    const char *text = rc == 0 ? embedded_file(path, &len) : NULL;
    if (text != NULL) {
        lua_pushlstring(L, text, len);
        lua_pushstring(L, path);
        return 2;
    }
    lua_pushnil(L);
    const char *late = b ? "" : "; files are read while the configuration loads: require at a file's top";
    if (rc < 0) lua_pushstring(L, err);
    else lua_pushfstring(L, "no policy or module '%s': neither %s%s%s%s beside the configuration nor installed%s", name,
                         path, strchr(name, '.') ? " or " : "", strchr(name, '.') ? file : "",
                         strchr(name, '.') ? ".lua" : "", late);
    return 2;
}
