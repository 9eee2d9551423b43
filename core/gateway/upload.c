/* upload.c -- a file of a client, on its way to the disk.
 *
 *     WRITING --all bytes--> SYNCING --> told (a rename): the file is there
 *        +------ the disk refuses, nobody waits ------> taken away
 *
 * A disk may take seconds, so both are done by libuv's threads, one step at a time.  A step that is under way cannot be
 * taken back: who leaves is forgotten, and its end cleans up. */
#include "gateway/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/job.h"

struct upload {
    uv_fs_t              step;
    struct loop         *loop;
    int                  fd;
    bool                 synced;
    struct file_settings files;
    struct file_facts    facts;
    struct buf           body;
    struct slice         rest;
    void               (*done)(void *ud, int rc); /* NULL: nobody waits */
    void                *ud;
    char                 tenant[JOB_TENANT_MAX + 1], folder[4096], path[FILE_PATH_SIZE];
};

/* It is told, unless others that came at the same time took the room. */
static int tell(struct upload *u) {
    struct slice tenant = slice_str(u->tenant);
    int rc = file_commit(&u->files, tenant, &u->facts);
    if (rc != 0 || !file_too_many(&u->files, tenant)) return rc;
    file_remove(&u->files, tenant, slice_str(u->facts.id), u->facts.created_s);
    return FILE_TOO_MANY;
}

/* why: errno, of an rc that is an error. */
static void upload_over(struct upload *u, int rc, int why) {
    close(u->fd);
    if (rc == 0 && u->done != NULL) {
        rc = tell(u);
        why = errno;
    }
    if (rc != 0 || u->done == NULL) unlink(u->path);
    errno = why;
    if (u->done != NULL) u->done(u->ud, rc);
    buf_deinit(&u->body);
    mem_free(u);
}

static void go_on(struct upload *u);

static void on_step(uv_fs_t *req) {
    struct upload *u = container_of(req, struct upload, step);
    ssize_t n = req->result;
    uv_fs_req_cleanup(req);
    if (n < 0 || u->done == NULL) {
        upload_over(u, PERILUNE_ERR_IO, n < 0 ? (int)-n : 0); /* libuv's errors are errno, negated */
        return;
    }
    if (!u->synced) u->rest = slice_of(u->rest.ptr + n, u->rest.len - (size_t)n);
    go_on(u);
}

static void go_on(struct upload *u) {
    if (u->rest.len == 0 && u->synced) {
        upload_over(u, 0, 0);
        return;
    }
    size_t n = u->rest.len < 1 << 30 ? u->rest.len : 1 << 30;
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)u->rest.ptr, (unsigned)n);
    int rc;
    if (u->rest.len > 0) {
        rc = uv_fs_write(&u->loop->uv, &u->step, u->fd, &bytes, 1, -1, on_step);
    } else {
        u->synced = true;
        rc = uv_fs_fdatasync(&u->loop->uv, &u->step, u->fd, on_step);
    }
    if (rc != 0) upload_over(u, PERILUNE_ERR_IO, -rc);
}

struct upload *upload_new(const struct upload_options *opt) {
    struct upload *u = mem_zalloc(sizeof(*u));
    if (u == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    u->loop = opt->loop;
    u->files = *opt->files;
    snprintf(u->folder, sizeof(u->folder), "%s", opt->files->folder);
    u->files.folder = u->folder;
    slice_copy(u->tenant, sizeof(u->tenant), opt->tenant);
    u->facts = *opt->facts;
    u->facts.bytes = opt->content.len;
    u->rest = opt->content;
    u->done = opt->done;
    u->ud = opt->ud;
    file_path(&u->files, opt->tenant, u->facts.id, u->path);
    u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (u->fd < 0) {
        mem_free(u);
        return NULL;
    }
    u->body = *opt->body;
    *opt->body = (struct buf){ .data = NULL };
    /* An empty file is not written, only synced: uv_fs_write() of nothing is nothing. */
    go_on(u);
    return u;
}

void upload_leave(struct upload *u) { u->done = NULL; }
