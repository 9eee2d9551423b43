/* file_store.c -- files of clients, in a folder.
 *
 *     FOLDER/ 5f3a..(of the tenant's name)/ file-0190..        the content
 *                                           file-0190...json   what it is: with it the file is there, without it not
 *
 * Nothing is held in memory, so that processes may share the folder and a crash leaves nothing to mend: content is
 * written first and told last, by a rename.  What was told outlives a power cut: content, then what it is, then the
 * names in both folders are on the disk, in this order, before anybody hears of it.  That waits for the disk, so it is
 * for a thread that may (upload.c, batch_work.c).  Content that was never told is taken away after days (a
 * batch writes its answers so, over a day), and what has expired when its tenant makes other files.
 *
 * A tenant's name is never part of a path, its digest is; an id is looked at before it is.  So no name leads out of the
 * folder, and nobody finds a file of somebody else's: to him it is not there. */
#include "jobs/file_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "include/perilune.h"

#define ID_LEN    37             /* "file-" and 32 digits */
#define UNTOLD_S  (3 * 86400)    /* content without its .json, that nobody writes any more */
#define LOOKS     32             /* files that are looked into for one that is made */
#define FACTS_MAX 4096           /* bytes of a .json */

/* -- Names ------------------------------------------------------------------------------------------ */

bool file_id_is(struct slice id) {
    if (id.len != ID_LEN || memcmp(id.ptr, "file-", 5) != 0) return false;
    for (size_t i = 5; i < id.len; i++)
        if (hex_value(id.ptr[i]) < 0 || (id.ptr[i] >= 'A' && id.ptr[i] <= 'F')) return false;
    return true;
}

void file_id_new(uint64_t now_ms, struct rng *rng, char out[FILE_ID_SIZE]) {
    snprintf(out, FILE_ID_SIZE, "file-%011llx%05llx%016llx", (unsigned long long)now_ms & 0xfffffffffff,
             (unsigned long long)(rng_next(rng) & 0xfffff), (unsigned long long)rng_next(rng));
}

static void folder_of(const struct file_settings *s, struct slice tenant, char *out, size_t size) {
    unsigned char digest[SHA256_BYTES];
    char hex[33];
    if (!sha256_of(tenant, digest)) { /* rather none than somebody else's */
        snprintf(out, size, "/dev/null/none");
        return;
    }
    hex_write(digest, 16, hex);
    hex[32] = '\0';
    snprintf(out, size, "%s/%s", s->folder, hex);
}

void file_path(const struct file_settings *s, struct slice tenant, const char *id, char out[FILE_PATH_SIZE]) {
    char folder[FILE_PATH_SIZE - 64];
    folder_of(s, tenant, folder, sizeof(folder));
    snprintf(out, FILE_PATH_SIZE, "%s/%s", folder, id);
}

/* -- What a file is ------------------------------------------------------------------------------------ */

static int sync_fd(const struct file_settings *s, int fd) { return s->sync != NULL ? s->sync(fd) : fsync(fd); }

static bool write_facts(const struct file_settings *s, const char *path, const struct file_facts *f, bool durable) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"name\":");
    json_write_string(&b, slice_str(f->name));
    buf_puts(&b, ",\"purpose\":");
    json_write_string(&b, slice_str(f->purpose));
    buf_printf(&b, ",\"bytes\":%llu,\"created\":%llu,\"expires\":%llu,\"lines\":%llu}\n", (unsigned long long)f->bytes,
               (unsigned long long)f->created_s, (unsigned long long)f->expires_s, (unsigned long long)f->lines);
    int fd = buf_failed(&b) ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, buf_get(&b).ptr, buf_len(&b)) == (ssize_t)buf_len(&b);
    if (good && durable) good = sync_fd(s, fd) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) != 0) good = false;
    else errno = why;
    buf_deinit(&b);
    return good;
}

static bool read_facts(const char *path, const char *id, struct file_facts *f) {
    char text[FACTS_MAX];
    struct json_doc d = { .nodes = NULL };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0) close(fd);
    if (n <= 0 || json_parse(&d, slice_of(text, (size_t)n), &(struct json_error){ 0 }) != 0) return false;
    uint32_t bytes = json_get(&d, 0, SLICE("bytes")), created = json_get(&d, 0, SLICE("created")),
             expires = json_get(&d, 0, SLICE("expires")), lines = json_get(&d, 0, SLICE("lines"));
    *f = (struct file_facts){ .bytes = 0 };
    snprintf(f->id, sizeof(f->id), "%s", id);
    json_copy_string(&d, 0, SLICE("name"), f->name, sizeof(f->name));
    json_copy_string(&d, 0, SLICE("purpose"), f->purpose, sizeof(f->purpose));
    bool good = json_is(&d, bytes, JSON_NUMBER) && json_u64(&d, bytes, &f->bytes) == 0 &&
                json_is(&d, created, JSON_NUMBER) && json_u64(&d, created, &f->created_s) == 0 &&
                json_is(&d, expires, JSON_NUMBER) && json_u64(&d, expires, &f->expires_s) == 0;
    if (!json_is(&d, lines, JSON_NUMBER) || json_u64(&d, lines, &f->lines) != 0) f->lines = 0; /* of an older version */
    json_deinit(&d);
    return good;
}

/* The names in it. */
static bool sync_folder(const struct file_settings *s, const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    int rc = sync_fd(s, fd), why = errno;
    close(fd);
    errno = why;
    return rc == 0;
}

static int tell(const struct file_settings *s, struct slice tenant, const struct file_facts *f, bool durable) {
    char folder[FILE_PATH_SIZE - 64], path[FILE_PATH_SIZE], told[FILE_PATH_SIZE + 8], fresh[FILE_PATH_SIZE + 8];
    folder_of(s, tenant, folder, sizeof(folder));
    file_path(s, tenant, f->id, path);
    snprintf(told, sizeof(told), "%s.json", path);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    bool renamed = write_facts(s, fresh, f, durable) && rename(fresh, told) == 0;
    if (renamed && (!durable || (sync_folder(s, folder) && sync_folder(s, s->folder)))) return 0;
    int why = errno;
    unlink(renamed ? told : fresh);
    errno = why;
    return PERILUNE_ERR_IO;
}

int file_commit(const struct file_settings *s, struct slice tenant, const struct file_facts *f) {
    return tell(s, tenant, f, true);
}

int file_tell(const struct file_settings *s, struct slice tenant, const struct file_facts *f) {
    return tell(s, tenant, f, false);
}

/* False: it was not there. */
static bool remove_both(const char *path) {
    char told[FILE_PATH_SIZE + 8];
    snprintf(told, sizeof(told), "%s.json", path);
    bool was = unlink(told) == 0; /* first: from here on the file is not there */
    unlink(path);
    return was;
}

int file_find(const struct file_settings *s, struct slice tenant, struct slice id, uint64_t now_s,
              struct file_facts *out) {
    char path[FILE_PATH_SIZE], told[FILE_PATH_SIZE + 8], name[FILE_ID_SIZE];
    if (!file_id_is(id)) return FILE_NOT_FOUND;
    slice_copy(name, sizeof(name), id);
    file_path(s, tenant, name, path);
    snprintf(told, sizeof(told), "%s.json", path);
    errno = 0;
    if (!read_facts(told, name, out)) return errno == 0 || errno == ENOENT ? FILE_NOT_FOUND : PERILUNE_ERR_IO;
    return out->expires_s != 0 && out->expires_s <= now_s ? FILE_NOT_FOUND : 0;
}

int file_remove(const struct file_settings *s, struct slice tenant, struct slice id, uint64_t now_s) {
    struct file_facts f;
    char path[FILE_PATH_SIZE];
    int rc = file_find(s, tenant, id, now_s, &f);
    if (rc != 0) return rc;
    file_path(s, tenant, f.id, path);
    remove_both(path);
    return 0;
}

/* -- A tenant's files -------------------------------------------------------------------------------------- */

static int later_first(const void *a, const void *b) { return strcmp(*(char *const *)b, *(char *const *)a); }

struct names {
    char   **names;
    unsigned count, cap;
};

static void names_free(struct names *n) {
    for (unsigned i = 0; i < n->count; i++) mem_free(n->names[i]);
    mem_free(n->names);
}

/* The ids of those that are told, the newest first; no folder: none. */
static int read_names(const char *folder, struct names *out) {
    DIR *d = opendir(folder);
    *out = (struct names){ .names = NULL };
    if (d == NULL) return errno == ENOENT ? 0 : PERILUNE_ERR_IO;
    int rc = 0;
    for (const struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        struct slice name = slice_str(e->d_name), id = slice_of(name.ptr, name.len < ID_LEN ? 0 : ID_LEN);
        if (!file_id_is(id) || !slice_eq(slice_of(name.ptr + ID_LEN, name.len - ID_LEN), SLICE(".json"))) continue;
        char *copy = mem_dup(name.ptr, ID_LEN);
        if (copy == NULL || !mem_grow((void **)&out->names, out->count, &out->cap, sizeof(char *))) {
            mem_free(copy);
            rc = PERILUNE_ERR_NOMEM;
        } else {
            out->names[out->count++] = copy;
        }
    }
    closedir(d);
    if (rc == 0 && out->count > 0) qsort(out->names, out->count, sizeof(char *), later_first);
    if (rc != 0) names_free(out);
    return rc;
}

/* Is the one name behind the other, in this order?  Whether that is still there does not matter. */
static bool comes_after(const struct file_filter *which, const char *name, const char *from) {
    int c = strcmp(name, from);
    return from[0] == '\0' || (which->oldest_first ? c > 0 : c < 0);
}

int file_list(const struct file_settings *s, struct slice tenant, const struct file_filter *which, uint64_t now_s,
              struct file_facts *out, unsigned count) {
    char folder[FILE_PATH_SIZE - 64], from[FILE_ID_SIZE];
    struct names n;
    folder_of(s, tenant, folder, sizeof(folder));
    slice_copy(from, sizeof(from), which->after);
    int rc = read_names(folder, &n), found = 0;
    if (rc != 0) return rc;
    for (unsigned i = 0; i < n.count && found < (int)count; i++) {
        const char *name = n.names[which->oldest_first ? n.count - 1 - i : i];
        if (!comes_after(which, name, from)) continue;
        rc = file_find(s, tenant, slice_str(name), now_s, &out[found]);
        if (rc < 0) break; /* a list that leaves out what is there is none */
        if (rc == 0) found += which->purpose.ptr == NULL || slice_eq(which->purpose, slice_str(out[found].purpose));
    }
    int why = errno;
    names_free(&n);
    errno = why;
    return rc < 0 ? rc : found;
}

/* Content that was not told for days. */
static void sweep_untold(const char *folder, const struct names *told, uint64_t now_s) {
    char path[FILE_PATH_SIZE];
    struct stat st;
    DIR *d = opendir(folder);
    if (d == NULL) return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!file_id_is(slice_str(e->d_name))) continue;
        const char *id = e->d_name;
        if (told->count > 0 && bsearch(&id, told->names, told->count, sizeof(char *), later_first) != NULL) continue;
        snprintf(path, sizeof(path), "%s/%.*s", folder, (int)ID_LEN, e->d_name);
        if (stat(path, &st) == 0 && (uint64_t)st.st_mtime + UNTOLD_S < now_s) unlink(path);
    }
    closedir(d);
}

/* What their contents are long. */
static uint64_t bytes_of(const char *folder, const struct names *n) {
    char path[FILE_PATH_SIZE];
    struct stat st;
    uint64_t sum = 0;
    for (unsigned i = 0; i < n->count; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, n->names[i]);
        if (stat(path, &st) == 0) sum += (uint64_t)st.st_size;
    }
    return sum;
}

int file_over_quota(const struct file_settings *s, struct slice tenant) {
    char folder[FILE_PATH_SIZE - 64];
    struct names n;
    folder_of(s, tenant, folder, sizeof(folder));
    if (read_names(folder, &n) != 0) return 0;
    bool much = s->most_bytes > 0 && bytes_of(folder, &n) > s->most_bytes, many = n.count > s->most;
    names_free(&n);
    return many ? FILE_TOO_MANY : much ? FILE_TOO_MUCH : 0;
}

int file_make_room(const struct file_settings *s, struct slice tenant, uint64_t bytes, uint64_t now_s) {
    char folder[FILE_PATH_SIZE - 64], path[FILE_PATH_SIZE];
    struct file_facts f;
    struct names n;
    folder_of(s, tenant, folder, sizeof(folder));
    if (mkdir(s->folder, 0700) != 0 && errno != EEXIST) return PERILUNE_ERR_IO;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) return PERILUNE_ERR_IO;
    int rc = read_names(folder, &n);
    if (rc != 0) return rc;
    unsigned kept = n.count;
    /* Looking into all of them would take the time of everybody's requests: the oldest, which expire first when clients
     * say nothing, and as many from somewhere else, by and by all. */
    for (unsigned k = 0; n.count >= s->most / 2 && k < LOOKS && k < n.count; k++) {
        unsigned i = k < LOOKS / 2 ? n.count - 1 - k : (unsigned)((now_s * LOOKS / 2 + k) % n.count);
        if (file_find(s, tenant, slice_str(n.names[i]), now_s, &f) != FILE_NOT_FOUND) continue;
        snprintf(path, sizeof(path), "%s/%s", folder, n.names[i]);
        if (remove_both(path)) kept--; /* it may be looked at twice */
    }
    sweep_untold(folder, &n, now_s);
    bool much = s->most_bytes > 0 && (bytes > s->most_bytes || bytes_of(folder, &n) > s->most_bytes - bytes);
    names_free(&n);
    return kept >= s->most ? FILE_TOO_MANY : much ? FILE_TOO_MUCH : 0;
}
