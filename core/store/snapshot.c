/* snapshot.c -- a cache in a file, from one run of the program to the next.
 *
 *     head     magic, version, the sizes and byte order of this machine, time of day, secret of the keys
 *     entries  lengths, key, ages, then tags, meta and data, then a checksum of all of it
 *     end      an entry with no key and no bytes
 *
 * The file is written beside its place and renamed, so that a full disk or a crash leaves the one before.  Two
 * processes may write the same one (an old that ends, a new that begins): who is at it holds a lock, the other waits
 * for a moment, and who is last stays.
 *
 * It holds what clients were told and the secret that keys depend on: only its owner may read it.
 *
 * Ages are kept, and what the file lay around is added to them.  A clock that was set back adds nothing; one
 * that was set ahead makes entries old, which costs answers and is never wrong.
 *
 * A checksum finds what a disk or a crash did, not what an attacker does. */
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"

#define MAGIC   "PERICACH"
#define VERSION 1
#define ORDER   0x01020304u
#define PIECE   (256 * 1024) /* bytes written at once */
#define WAITS   200          /* for another process that writes the same file, */
#define WAIT_NS 10000000     /* so long each */

struct head {
    char                magic[8];
    uint32_t            version, order, entry_size, secret_size;
    uint64_t            wall_ms;
    struct cache_secret secret;
    uint64_t            sum; /* of all in front of it */
};

struct record {
    struct hash128 key;
    uint64_t       age_ms;
    uint32_t       fresh_ms, keep_ms, data_len;
    uint16_t       meta_len;
    uint8_t        tag_count, pad;
};

static uint64_t sum_of(const struct head *h) {
    return hash64(&h->secret.tags, slice_of((const char *)h, offsetof(struct head, sum)));
}

static long failed(char *err, size_t errlen, int rc, const char *what, const char *path) {
    snprintf(err, errlen, "cannot %s %s: %s", what, path, strerror(errno));
    return rc;
}

/* -- Saving ------------------------------------------------------------------------------- */

struct all {
    struct cache_entry **entries;
    size_t               len, cap;
    bool                 failed;
};

static bool collect(struct cache_entry *e, void *ud) {
    struct all *a = ud;
    if (a->len == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 1024;
        struct cache_entry **more = mem_realloc(a->entries, cap * sizeof(*more));
        if (more == NULL) {
            a->failed = true;
            return false;
        }
        a->entries = more;
        a->cap = cap;
    }
    a->entries[a->len++] = cache_entry_ref(e);
    return true;
}

static void all_deinit(struct all *a) {
    for (size_t i = 0; i < a->len; i++) cache_entry_put(a->entries[i]);
    mem_free(a->entries);
}

static bool write_all(int fd, struct slice s) {
    while (s.len > 0) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        s = slice_of(s.ptr + n, s.len - (size_t)n);
    }
    return true;
}

static void put_record(struct buf *out, const struct cache_secret *secret, const struct record *r, struct slice tags,
                       struct slice meta, struct slice data) {
    size_t from = buf_len(out);
    buf_put(out, r, sizeof(*r));
    buf_slice(out, tags);
    buf_slice(out, meta);
    buf_slice(out, data);
    if (buf_failed(out)) return;
    uint64_t sum = hash64(&secret->tags, slice_of(buf_get(out).ptr + from, buf_len(out) - from));
    buf_put(out, &sum, sizeof(sum));
}

static void put_entry(struct buf *out, const struct cache_secret *secret, const struct cache_entry *e, uint64_t now) {
    struct slice tags = cache_entry_tags(e), meta = cache_entry_meta(e), data = cache_entry_data(e);
    struct record r;
    memset(&r, 0, sizeof(r));
    r.key = cache_entry_key(e);
    r.age_ms = cache_age(e, now);
    r.fresh_ms = e->fresh_ms;
    r.keep_ms = e->keep_ms;
    r.data_len = (uint32_t)data.len;
    r.meta_len = (uint16_t)meta.len;
    r.tag_count = e->tag_count;
    put_record(out, secret, &r, tags, meta, data);
}

/* False: errno says why. */
static bool write_entries(struct cache *c, int fd, const struct all *a, uint64_t now, uint64_t wall_ms) {
    struct head h;
    struct buf out;
    memset(&h, 0, sizeof(h));
    memcpy(h.magic, MAGIC, sizeof(h.magic));
    h.version = VERSION;
    h.order = ORDER;
    h.entry_size = sizeof(struct record);
    h.secret_size = sizeof(h.secret);
    h.wall_ms = wall_ms;
    cache_secret(c, &h.secret);
    h.sum = sum_of(&h);
    buf_init(&out, 0);
    buf_put(&out, &h, sizeof(h));
    bool ok = true;
    for (size_t i = a->len; i > 0 && ok; i--) { /* the oldest of a shard first: the order of eviction stays */
        put_entry(&out, &h.secret, a->entries[i - 1], now);
        if (buf_len(&out) < PIECE && i > 1) continue;
        ok = !buf_failed(&out) && write_all(fd, buf_get(&out));
        buf_clear(&out);
    }
    struct record last;
    memset(&last, 0, sizeof(last));
    if (ok) put_record(&out, &h.secret, &last, SLICE(""), SLICE(""), SLICE(""));
    ok = ok && !buf_failed(&out) && write_all(fd, buf_get(&out)) && fsync(fd) == 0;
    if (buf_failed(&out)) errno = ENOMEM;
    buf_deinit(&out);
    return ok;
}

enum claim { CLAIM_OURS, CLAIM_BUSY, CLAIM_GONE, CLAIM_FAILED };

/* Of the file fd, which was opened as `temp`.  GONE: another process has renamed it meanwhile, so it is the snapshot
 * itself now.  Where a file system knows no locks, it is ours. */
static enum claim claim(int fd, const char *temp) {
    struct stat mine, there;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return CLAIM_BUSY;
    if (fstat(fd, &mine) != 0) return CLAIM_FAILED;
    if (lstat(temp, &there) != 0) return errno == ENOENT ? CLAIM_GONE : CLAIM_FAILED;
    return mine.st_ino == there.st_ino && mine.st_dev == there.st_dev ? CLAIM_OURS : CLAIM_GONE;
}

/* The file beside the place, empty and ours, which a crash may have left there; -1: errno says why. */
static int open_temp(const char *temp) {
    static const struct timespec pause = { .tv_nsec = WAIT_NS };
    for (unsigned i = 0; i < WAITS; i++) {
        int fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600); /* no pipe makes us wait */
        enum claim got = fd >= 0 ? claim(fd, temp) : CLAIM_FAILED;
        if (got == CLAIM_OURS && fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0) return fd;
        int why = errno;
        if (fd >= 0) close(fd);
        errno = why;
        if (got == CLAIM_OURS || got == CLAIM_FAILED) return -1;
        if (got == CLAIM_BUSY) nanosleep(&pause, NULL);
    }
    errno = EBUSY;
    return -1;
}

long snapshot_save(struct cache *c, const char *path, uint64_t now, uint64_t wall_ms, char *err, size_t errlen) {
    char temp[4096];
    err[0] = '\0';
    if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp)) {
        errno = ENAMETOOLONG;
        return failed(err, errlen, PERILUNE_ERR_IO, "write", path);
    }
    struct all a = { .entries = NULL };
    cache_each(c, collect, &a);
    int fd = open_temp(temp);
    bool ok = fd >= 0 && !a.failed && write_entries(c, fd, &a, now, wall_ms);
    int why = errno;
    long n = (long)a.len;
    all_deinit(&a);
    if (ok && rename(temp, path) != 0) ok = false, why = errno;
    if (!ok && fd >= 0) unlink(temp);
    if (fd >= 0) close(fd); /* behind that: with it goes the lock */
    if (ok) return n;
    errno = why;
    return failed(err, errlen, PERILUNE_ERR_IO, "write", temp);
}

/* -- Loading ---------------------------------------------------------------------------------- */

struct reading {
    struct cache       *c;
    FILE               *file;
    struct cache_secret secret;
    struct buf          buf;
    uint64_t            now, lain_ms; /* how long the file lay around */
};

enum got { GOT_ENTRY, GOT_SKIPPED, GOT_END, GOT_DAMAGE, GOT_NO_MEMORY };

static enum got read_entry(struct reading *rd) {
    struct record r;
    uint64_t sum;
    if (fread(&r, sizeof(r), 1, rd->file) != 1) return GOT_DAMAGE;
    size_t tags = r.tag_count * sizeof(uint32_t), size = tags + r.meta_len + (size_t)r.data_len;
    if (r.tag_count > CACHE_MAX_TAGS || r.meta_len > CACHE_MAX_META) return GOT_DAMAGE;
    if (size > cache_room(rd->c)) /* the cache is smaller than it was */
        return fseek(rd->file, (long)(size + sizeof(sum)), SEEK_CUR) == 0 ? GOT_SKIPPED : GOT_DAMAGE;
    buf_clear(&rd->buf);
    buf_put(&rd->buf, &r, sizeof(r));
    char *at = buf_reserve(&rd->buf, size + 1);
    if (at == NULL) return GOT_NO_MEMORY;
    if (fread(at, 1, size, rd->file) != size || fread(&sum, sizeof(sum), 1, rd->file) != 1) return GOT_DAMAGE;
    buf_advance(&rd->buf, size);
    if (hash64(&rd->secret.tags, buf_get(&rd->buf)) != sum) return GOT_DAMAGE;
    if (size == 0 && r.fresh_ms == 0 && r.key.low == 0 && r.key.high == 0) return GOT_END;
    const char *bytes = buf_get(&rd->buf).ptr + sizeof(r);
    uint32_t hashes[CACHE_MAX_TAGS];
    memcpy(hashes, bytes, tags);
    struct cache_item item = { .key = r.key, .meta = slice_of(bytes + tags, r.meta_len),
                               .data = slice_of(bytes + tags + r.meta_len, r.data_len), .fresh_ms = r.fresh_ms,
                               .keep_ms = r.keep_ms, .age_ms = r.age_ms + rd->lain_ms };
    int rc = cache_restore(rd->c, &item, hashes, r.tag_count, rd->now);
    return rc == PERILUNE_ERR_NOMEM ? GOT_NO_MEMORY : rc == 0 ? GOT_ENTRY : GOT_SKIPPED; /* it is too old by now */
}

/* 0; PERILUNE_ERR_STATE: it is something else; PERILUNE_ERR_INVAL: of another version, or damaged. */
static int read_head(struct reading *rd, uint64_t wall_ms) {
    struct head h;
    memset(&h, 0, sizeof(h));
    size_t n = fread(&h, 1, sizeof(h), rd->file);
    if (n > 0 && memcmp(h.magic, MAGIC, n < sizeof(h.magic) ? n : sizeof(h.magic)) != 0) return PERILUNE_ERR_STATE;
    if (n != sizeof(h) || h.version != VERSION || h.order != ORDER ||
        h.entry_size != sizeof(struct record) || h.secret_size != sizeof(h.secret) || h.sum != sum_of(&h))
        return PERILUNE_ERR_INVAL;
    rd->secret = h.secret;
    rd->lain_ms = wall_ms > h.wall_ms ? wall_ms - h.wall_ms : 0;
    return 0;
}

uint64_t snapshot_age_ms(const char *path, uint64_t wall_ms) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return 0;
    struct reading rd = { .file = fopen(path, "rbe") };
    if (rd.file != NULL && read_head(&rd, wall_ms) != 0) rd.lain_ms = 0;
    if (rd.file != NULL) fclose(rd.file);
    return rd.lain_ms;
}

long snapshot_load(struct cache *c, const char *path, uint64_t now, uint64_t wall_ms, char *err, size_t errlen) {
    struct stat st;
    long n = 0;
    err[0] = '\0';
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* a pipe would make us wait, a device is no place for it */
        snprintf(err, errlen, "%s is no regular file: it is neither read nor written", path);
        return PERILUNE_ERR_STATE;
    }
    struct reading rd = { .c = c, .now = now, .file = fopen(path, "rbe") };
    if (rd.file == NULL) return errno == ENOENT ? 0 : failed(err, errlen, PERILUNE_ERR_IO, "read", path);
    buf_init(&rd.buf, 0);
    int rc = read_head(&rd, wall_ms);
    if (rc == PERILUNE_ERR_STATE) {
        snprintf(err, errlen, "%s is no snapshot of a cache: it is neither read nor written; name another file", path);
        n = rc;
    } else if (rc != 0) {
        snprintf(err, errlen, "%s is damaged, or of another version or kind of machine; it is ignored, and will be "
                 "replaced", path);
        n = rc;
    } else {
        cache_set_secret(c, &rd.secret);
        enum got got;
        while ((got = read_entry(&rd)) <= GOT_SKIPPED) n += got == GOT_ENTRY;
        if (got != GOT_END)
            snprintf(err, errlen, "%s %s behind %ld entries; the rest is ignored", path,
                     got == GOT_DAMAGE ? "is damaged" : "needs more memory than there is", n);
    }
    buf_deinit(&rd.buf);
    fclose(rd.file);
    return n;
}
