/* file_db.c -- the database in which jobs are kept: opening it, its statements, its transactions.
 *
 *     jobs.db         SQLite, of which WAL holds what was committed last, behind an fdatasync for each commit
 *     jobs.db-wal     (synchronous = FULL): what is answered is on the disk
 *     jobs.db-shm     which part of it is where, shared by processes; all of one machine
 *
 * Opening looks before it touches.  A file that is no database, somebody else's database, another version's, one that
 * cannot be written, is damaged or locked is left as it is, and the sentence says which and what to do.  Damage is
 * looked for as long as CHECK_MS allow: a large file is not read to its end, and what is damaged beyond is noticed
 * when it is read.
 *
 * Faults while it is open.  A disk that is full refuses one transaction and harms nothing; the next one tries again.
 * After an error of reading or writing nobody knows what the kernel kept, so the connection is closed and opened
 * again (`broken`), and SQLite reads what is on the disk.  A file that was removed or replaced would swallow what is
 * written to it: it is looked at before each transaction, and refused while another one, or none, has its name.
 *
 * The steady clock (see job_rules.c) is CLOCK_MONOTONIC plus `base`, which is kept in the file together with the
 * kernel's boot id: all processes of the machine count alike, whatever is done to the wall clock.  After a boot it
 * goes on from where the wall clock says, and all leases are over, as are those who held them.  It is `offset` behind
 * the wall clock; who finds in a transaction that this has changed moves what people named (job_rule_clock) and notes
 * the new one, once for all processes.
 *
 * Statements are prepared when they are first needed, and once.
 *
 * One thread at a time. */
#include "jobs/file_db.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "include/perilune.h"
#include "jobs/job_clock.h"

#define CHECK_MS 200
#define BUSY_MS  5000
#define CACHE_KIB 32768
#define WAL_PAGES 8192              /* of 4 KiB: then a commit moves them into the file */
#define WAL_BYTES (64 * 1024 * 1024) /* what the -wal file keeps of its size */
#define TIDY_PAGES 256
#define FREE_PAGES_KEPT 2048        /* for the next jobs */

static const char *const sql[] = {
#define XX(name, text) text,
    FILE_SQL(XX)
#undef XX
};

/* -- Errors ------------------------------------------ */

static const char *advice(int rc) {
    switch (rc & 0xff) {
    case SQLITE_BUSY: case SQLITE_LOCKED:
        return "another program holds a lock on it; close that program";
    case SQLITE_FULL:
        return "there is no room left on the disk";
    case SQLITE_READONLY: case SQLITE_PERM: case SQLITE_AUTH: case SQLITE_CANTOPEN:
        return "the file and its folder must be there, and writable by who runs this program";
    case SQLITE_NOTADB: case SQLITE_CORRUPT:
        return "it is damaged, or no database: move it away, or restore a copy; `sqlite3 FILE .recover` reads what is "
               "left";
    case SQLITE_IOERR: return "the disk, or its file system, fails";
    default: return "unexpected";
    }
}

int file_db_fail(struct file_db *d) {
    int rc = d->db ? sqlite3_extended_errcode(d->db) : SQLITE_CANTOPEN;
    int base = rc & 0xff;
    snprintf(d->why, sizeof(d->why), "jobs: %.300s: %s (%.200s)", d->path, advice(rc),
             d->db ? sqlite3_errmsg(d->db) : "cannot be opened");
    if (base == SQLITE_IOERR || base == SQLITE_CORRUPT || base == SQLITE_NOTADB || base == SQLITE_CANTOPEN)
        d->broken = true;
    return PERILUNE_ERR_IO;
}

static int refuse(struct file_db *d, const char *what) {
    snprintf(d->why, sizeof(d->why), "jobs: %.300s: %.350s", d->path, what);
    return PERILUNE_ERR_IO;
}

/* -- Statements ------------------------------------------ */

sqlite3_stmt *file_db_get(struct file_db *d, enum file_statement which) {
    sqlite3_stmt **s = &d->statements[which];
    if (*s != NULL) return *s; /* file_db_run() and readers leave it reset; all is bound anew */
    if (sqlite3_prepare_v3(d->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL) == SQLITE_OK) return *s;
    file_db_fail(d);
    return NULL;
}

int file_db_row(struct file_db *d, sqlite3_stmt *s) {
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) return 0;
    int failed = rc == SQLITE_DONE ? JOBS_NOT_FOUND : file_db_fail(d);
    sqlite3_reset(s);
    return failed;
}

int file_db_run(struct file_db *d, sqlite3_stmt *s) {
    int rc = sqlite3_step(s), failed = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : file_db_fail(d);
    sqlite3_reset(s);
    return failed;
}

int file_db_number(struct file_db *d, enum file_statement which, int64_t *out) {
    sqlite3_stmt *s = file_db_get(d, which);
    *out = 0;
    if (s == NULL) return PERILUNE_ERR_IO;
    int rc = file_db_row(d, s);
    if (rc == 0) *out = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc;
}

static int run(struct file_db *d, enum file_statement which) {
    sqlite3_stmt *s = file_db_get(d, which);
    return s ? file_db_run(d, s) : PERILUNE_ERR_IO;
}

/* -- Opening ------------------------------------------ */

static int on_busy(void *ud, int times) {
    struct file_db *d = ud;
    if (atomic_load(&d->hurry) || stamp_ms(CLOCK_MONOTONIC) >= d->busy_until) return 0;
    usleep(times < 10 ? 200 : 2000); /* as long as the transactions of others take */
    return 1;
}

struct checking {
    uint64_t until;
};

static int out_of_time(void *ud) { return stamp_ms(CLOCK_MONOTONIC) >= ((struct checking *)ud)->until; }

static int look_for_damage(struct file_db *d) {
    struct checking c = { stamp_ms(CLOCK_MONOTONIC) + CHECK_MS };
    sqlite3_stmt *s = NULL;
    int rc = 0;
    sqlite3_progress_handler(d->db, 10000, out_of_time, &c);
    bool told = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK &&
                sqlite3_step(s) == SQLITE_ROW;
    if (told && strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0) {
        char text[200];
        snprintf(text, sizeof(text), "it is damaged: move it away, or restore a copy; `sqlite3 FILE .recover` reads "
                 "what is left (%.80s)", (const char *)sqlite3_column_text(s, 0));
        rc = refuse(d, text);
    } else if (sqlite3_errcode(d->db) == SQLITE_CORRUPT) {
        rc = file_db_fail(d);
    }
    sqlite3_finalize(s);
    sqlite3_progress_handler(d->db, 0, NULL, NULL);
    return rc;
}

static int number_of(struct file_db *d, const char *text, int64_t *out) {
    sqlite3_stmt *s = NULL;
    bool told = sqlite3_prepare_v2(d->db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    int rc = told ? 0 : file_db_fail(d);
    if (rc == 0) *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc;
}

static int execute(struct file_db *d, const char *text) {
    return sqlite3_exec(d->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : file_db_fail(d);
}

/* Whose is it?  *fresh: nobody's, it is empty. */
static int identify(struct file_db *d, bool *fresh) {
    int64_t application = 0, version = 0, things = 0;
    int rc = number_of(d, "PRAGMA application_id", &application);
    if (rc == 0) rc = number_of(d, "PRAGMA user_version", &version);
    if (rc == 0) rc = number_of(d, "SELECT count(*) FROM sqlite_master", &things);
    if (rc != 0) return rc;
    *fresh = application == 0 && version == 0 && things == 0;
    if (*fresh || (application == FILE_APPLICATION && version == FILE_VERSION)) return 0;
    if (application != FILE_APPLICATION) return refuse(d, "it is a database of something else: name another file");
    char text[200];
    snprintf(text, sizeof(text), "it was made by another version of this program (its format is %lld, this one reads "
             "%d): use that version, or name another file", (long long)version, FILE_VERSION);
    return refuse(d, text);
}

static int create(struct file_db *d) {
    char text[120];
    bool fresh = false;
    int rc = execute(d, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
    if (rc == 0) rc = execute(d, "BEGIN IMMEDIATE");
    if (rc != 0) return rc;
    rc = identify(d, &fresh); /* another process may have been faster */
    snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d", FILE_APPLICATION,
             FILE_VERSION);
    if (rc == 0 && fresh) rc = execute(d, FILE_SCHEMA);
    if (rc == 0 && fresh) rc = execute(d, text);
    if (rc == 0) return execute(d, "COMMIT");
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int configure(struct file_db *d) {
    char text[400];
    int64_t bytes = 4096;
    int rc = number_of(d, "PRAGMA page_size", &bytes);
    d->page_bytes = (uint64_t)bytes;
    /* No max_page_count: what was accepted must come to its end, and job_verbs.c sees to how large that may be. */
    snprintf(text, sizeof(text), "PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY;"
             "PRAGMA cache_size = -%d;"
             "PRAGMA journal_size_limit = %d; PRAGMA wal_autocheckpoint = %d", CACHE_KIB, WAL_BYTES, WAL_PAGES);
    return rc == 0 ? execute(d, text) : rc;
}

/* -- Clocks ------------------------------------------ */

struct job_now file_db_now(const struct file_db *d) {
    struct job_now now = job_clock_read(d->settings);
    now.steady = (uint64_t)((int64_t)now.steady + d->base);
    return now;
}

static void boot_id(char out[64]) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 63) : 0;
    if (fd >= 0) close(fd);
    out[n > 0 ? n : 0] = '\0';
}

static int meta_get(struct file_db *d, const char *name, char *text, size_t size, int64_t *number) {
    sqlite3_stmt *s = file_db_get(d, FILE_META_GET);
    if (s == NULL) return PERILUNE_ERR_IO;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int rc = file_db_row(d, s);
    if (rc != 0) return rc;
    const unsigned char *value = sqlite3_column_text(s, 0);
    if (text) snprintf(text, size, "%s", value ? (const char *)value : "");
    if (number) *number = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return 0;
}

static int meta_set(struct file_db *d, const char *name, const char *text, int64_t number) {
    sqlite3_stmt *s = file_db_get(d, FILE_META_SET);
    if (s == NULL) return PERILUNE_ERR_IO;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    if (text) sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC);
    else sqlite3_bind_int64(s, 2, number);
    return file_db_run(d, s);
}

static int set_clocks(struct file_db *d) {
    char mine[64], theirs[64] = "";
    struct job_now now = job_clock_read(d->settings);
    boot_id(mine);
    int rc = meta_get(d, "boot", theirs, sizeof(theirs), NULL);
    if (rc == 0) rc = meta_get(d, "offset", NULL, 0, &d->offset);
    if (rc == 0) rc = meta_get(d, "base", NULL, 0, &d->base);
    if (rc < 0 || (rc == 0 && strcmp(mine, theirs) == 0)) return rc;
    if (rc == JOBS_NOT_FOUND) d->offset = 0;
    d->base = (int64_t)now.wall - d->offset - (int64_t)now.steady;
    rc = meta_set(d, "boot", mine, 0);
    if (rc == 0) rc = meta_set(d, "base", NULL, d->base);
    if (rc == 0) rc = meta_set(d, "offset", NULL, d->offset);
    if (rc == 0) rc = run(d, FILE_LEASES_END);
    return rc == 0 ? run(d, FILE_HOOK_LEASES_END) : rc;
}

int file_db_jumped(struct file_db *d, struct job_now now, bool *jumped) {
    *jumped = false;
    if (!job_clock_jumped(now, d->offset)) return 0;
    int rc = meta_get(d, "offset", NULL, 0, &d->offset); /* another process may have seen to it */
    if (rc != 0 || !job_clock_jumped(now, d->offset)) return rc;
    *jumped = true;
    d->offset = (int64_t)(now.wall - now.steady);
    return meta_set(d, "offset", NULL, d->offset);
}

/* -- Life ------------------------------------------ */

void file_db_close(struct file_db *d) {
    for (int i = 0; i < FILE_STATEMENTS; i++) sqlite3_finalize(d->statements[i]);
    memset(d->statements, 0, sizeof(d->statements));
    sqlite3_close(d->db);
    d->db = NULL;
}

/* SQLite makes files as the umask says; -wal and -shm get what this one has.  Only one that is new is opened here: to
 * close a file gives up all locks that this process has on it. */
static void create_for_owner(const struct file_db *d) {
    int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd); /* if not, SQLite says why, unless it is there */
}

static int open_all(struct file_db *d, bool check) {
    struct stat st;
    bool fresh = false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    create_for_owner(d);
    if (sqlite3_open_v2(d->path, &d->db, flags, NULL) != SQLITE_OK) return file_db_fail(d);
    d->busy_until = stamp_ms(CLOCK_MONOTONIC) + BUSY_MS;
    sqlite3_busy_handler(d->db, on_busy, d);
    int rc = identify(d, &fresh);
    if (rc == 0 && sqlite3_db_readonly(d->db, "main") == 1)
        rc = refuse(d, "it is read-only: the file and its folder must be writable by who runs this program");
    if (rc == 0 && fresh) rc = create(d);
    if (rc == 0) rc = configure(d);
    if (rc == 0 && check && !fresh) rc = look_for_damage(d);
    if (rc == 0) rc = run(d, FILE_BEGIN_WRITE);
    if (rc == 0) rc = set_clocks(d);
    if (rc == 0) rc = run(d, FILE_COMMIT);
    if (rc == 0) rc = file_db_number(d, FILE_DATA_VERSION, &d->version);
    if (rc != 0) return rc < 0 ? rc : refuse(d, "it lacks what every version has: name another file");
    if (stat(d->path, &st) != 0) return refuse(d, "it was removed while it was opened");
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    return 0;
}

int file_db_open(struct file_db *d, const char *path, const struct jobs_settings *s, bool check) {
    d->settings = s;
    d->broken = false;
    if (path != d->path) snprintf(d->path, sizeof(d->path), "%s", path);
    int rc = strlen(path) < sizeof(d->path) && path[0] != '\0' ? open_all(d, check)
                                                              : refuse(d, "that is no name of a file");
    if (rc == 0) return 0;
    file_db_close(d);
    d->broken = true;
    return rc;
}

/* `immutable`: neither -wal nor -shm are made beside it, which would be those of who runs the check, and in the way of
 * who serves.  What a -wal holds is not seen then, so damage is looked for only where there is none. */
int file_db_check(const char *path, char *why, size_t size) {
    struct file_db d = { .db = NULL };
    char wal[FILE_PATH_BYTES + 8];
    bool fresh = false;
    struct buf uri;
    buf_init(&uri, 0);
    snprintf(d.path, sizeof(d.path), "%s", path);
    snprintf(wal, sizeof(wal), "%s-wal", d.path);
    buf_puts(&uri, "file:");
    for (const char *p = d.path; *p != '\0'; p++)
        buf_printf(&uri, strchr("?#%", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    buf_puts(&uri, "?immutable=1");
    buf_putc(&uri, '\0');
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, rc;
    if (buf_failed(&uri)) rc = refuse(&d, "there is no memory to look at it");
    else rc = sqlite3_open_v2(uri.data, &d.db, flags, NULL) == SQLITE_OK ? identify(&d, &fresh) : file_db_fail(&d);
    buf_deinit(&uri);
    if (rc == 0 && !fresh && access(wal, F_OK) != 0) rc = look_for_damage(&d);
    if (rc != 0) snprintf(why, size, "%s", d.why);
    file_db_close(&d);
    return rc;
}

/* -- Transactions ------------------------------------------ */

int file_db_look(struct file_db *d) {
    int64_t version = 0;
    int rc = file_db_number(d, FILE_DATA_VERSION, &version);
    if (rc != 0) return rc;
    if (version == d->version) return 0;
    d->version = version;
    d->others_wrote = true;
    d->writings++;
    return 0;
}

bool file_db_is_there(struct file_db *d) {
    struct stat st;
    if (stat(d->path, &st) == 0 && st.st_ino == d->ino && st.st_dev == d->dev) return true;
    refuse(d, "it was removed or replaced while it is in use: move it back, or start the program anew");
    return false;
}

int file_db_begin(struct file_db *d, bool write, struct job_now *now) {
    d->busy_until = stamp_ms(CLOCK_MONOTONIC) + BUSY_MS;
    if (d->broken) {
        file_db_close(d);
        int rc = file_db_open(d, d->path, d->settings, false);
        if (rc != 0) return rc;
        d->others_wrote = true;
        d->writings++;
    }
    if (!file_db_is_there(d)) return PERILUNE_ERR_IO;
    int rc = run(d, write ? FILE_BEGIN_WRITE : FILE_BEGIN);
    if (rc == 0) rc = file_db_look(d);
    *now = file_db_now(d);
    return rc;
}

int file_db_commit(struct file_db *d) { return run(d, FILE_COMMIT); }

void file_db_rollback(struct file_db *d) {
    char why[sizeof(d->why)];
    memcpy(why, d->why, sizeof(why));
    d->offset = INT64_MIN / 2; /* of no clock: it is read again */
    if (d->db != NULL && !sqlite3_get_autocommit(d->db)) run(d, FILE_ROLLBACK);
    memcpy(d->why, why, sizeof(why)); /* what went wrong is what was wrong first */
}

/* -- Size ------------------------------------------ */

uint64_t file_db_bytes(struct file_db *d) {
    int64_t pages = 0, unused = 0;
    file_db_number(d, FILE_PAGES, &pages);
    file_db_number(d, FILE_FREE_PAGES, &unused);
    return (uint64_t)(pages > unused ? pages - unused : 0) * d->page_bytes;
}

bool file_db_tidy(struct file_db *d) {
    int64_t unused = 0;
    char text[64];
    if (d->broken) return false;
    d->busy_until = 0; /* what is locked is tidied later */
    bool more = file_db_number(d, FILE_FREE_PAGES, &unused) == 0 && unused > FREE_PAGES_KEPT;
    snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%d)", TIDY_PAGES);
    if (more) sqlite3_exec(d->db, text, NULL, NULL, NULL);
    else sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return more;
}
