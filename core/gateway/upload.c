/* upload.c -- a file of a client, on its way to the disk.
 *
 *     ROOM --there is some--> WRITING --all bytes--> SYNCING --> TELLING --on the disk--> (done)
 *       +------------------------+-- the disk refuses, nobody waits, no room ---> taken away
 *
 * A disk may take seconds, so all of it is done by libuv's threads, one step at a time: also the looking for room,
 * which walks through the tenant's folder, and the telling (file_commit()).  A step that is under way cannot be taken
 * back: who leaves is forgotten, and its end cleans up. */
#include "gateway/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/job.h"

enum upload_state { ROOM, WRITING, SYNCING, TELLING };

struct upload {
    enum upload_state    state;
    union {
        uv_fs_t   file;  /* WRITING, SYNCING */
        uv_work_t task;  /* ROOM, TELLING */
    } step;
    struct loop         *loop;
    int                  fd;       /* -1: not open */
    int                  rc, why;  /* what a task came to, and its errno */
    struct file_settings files;
    struct file_facts    facts;
    struct buf           body;
    struct slice         rest;
    void               (*done)(void *ud, int rc); /* NULL: nobody waits */
    void                *ud;
    char                 tenant[JOB_TENANT_MAX + 1], folder[4096], path[FILE_PATH_SIZE];
};

/* why: errno, of an rc that is an error. */
static void upload_over(struct upload *u, int rc, int why) {
    struct slice tenant = slice_str(u->tenant);
    bool made = u->fd >= 0, told = u->state == TELLING && u->rc == 0;
    if (made) close(u->fd);
    if (told && u->done == NULL) file_remove(&u->files, tenant, slice_str(u->facts.id), u->facts.created_s);
    else if (made && (rc != 0 || u->done == NULL)) unlink(u->path);
    errno = why;
    if (u->done != NULL) u->done(u->ud, rc);
    buf_deinit(&u->body);
    mem_free(u);
}

/* -- On a thread of libuv's ---------------------------------------------------------------------- */

static int make_room(struct upload *u) {
    int rc = file_make_room(&u->files, slice_str(u->tenant), u->facts.bytes, u->facts.created_s);
    if (rc != 0) return rc;
    u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    return u->fd >= 0 ? 0 : PERILUNE_ERR_IO;
}

static void do_task(uv_work_t *req) {
    struct upload *u = container_of(req, struct upload, step.task);
    errno = 0;
    u->rc = u->state == ROOM ? make_room(u) : file_commit(&u->files, slice_str(u->tenant), &u->facts);
    u->why = errno;
}

/* -- On the loop's -------------------------------------------------------------------------------- */

static void go_on(struct upload *u);

/* It stays, unless others that came at the same time took the room: one after the other, or all would go. */
static void look_once_more(struct upload *u) {
    struct slice tenant = slice_str(u->tenant);
    u->rc = file_over_quota(&u->files, tenant);
    if (u->rc != 0) file_remove(&u->files, tenant, slice_str(u->facts.id), u->facts.created_s);
}

static void on_task(uv_work_t *req, int status) {
    struct upload *u = container_of(req, struct upload, step.task);
    if (status < 0) { /* it was never begun */
        u->rc = PERILUNE_ERR_IO;
        u->why = -status;
    }
    if (u->state == TELLING && u->rc == 0 && u->done != NULL) look_once_more(u);
    if (u->rc != 0 || u->done == NULL || u->state == TELLING) {
        upload_over(u, u->rc, u->why);
        return;
    }
    u->state = u->rest.len > 0 ? WRITING : SYNCING; /* uv_fs_write() of nothing is nothing */
    go_on(u);
}

static void on_step(uv_fs_t *req) {
    struct upload *u = container_of(req, struct upload, step.file);
    ssize_t n = req->result;
    uv_fs_req_cleanup(req);
    if (n < 0 || u->done == NULL) {
        upload_over(u, PERILUNE_ERR_IO, n < 0 ? (int)-n : 0); /* libuv's errors are errno, negated */
        return;
    }
    if (u->state == SYNCING) {
        u->state = TELLING;
    } else {
        u->rest = slice_of(u->rest.ptr + n, u->rest.len - (size_t)n);
        if (u->rest.len == 0) u->state = SYNCING;
    }
    go_on(u);
}

static void go_on(struct upload *u) {
    uv_loop_t *uv = &u->loop->uv;
    size_t n = u->rest.len < 1 << 30 ? u->rest.len : 1 << 30;
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)u->rest.ptr, (unsigned)n);
    int rc = 0;
    switch (u->state) {
    case ROOM:
    case TELLING: rc = uv_queue_work(uv, &u->step.task, do_task, on_task); break;
    case WRITING: rc = uv_fs_write(uv, &u->step.file, u->fd, &bytes, 1, -1, on_step); break;
    case SYNCING: rc = uv_fs_fdatasync(uv, &u->step.file, u->fd, on_step); break;
    }
    if (rc != 0) {
        u->rc = PERILUNE_ERR_IO;
        upload_over(u, PERILUNE_ERR_IO, -rc);
    }
}

struct upload *upload_new(const struct upload_options *opt) {
    struct upload *u = mem_zalloc(sizeof(*u));
    if (u == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    u->state = ROOM;
    u->fd = -1;
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
    int rc = uv_queue_work(&u->loop->uv, &u->step.task, do_task, on_task);
    if (rc != 0) {
        errno = -rc;
        mem_free(u);
        return NULL;
    }
    u->body = *opt->body;
    *opt->body = (struct buf){ .data = NULL };
    return u;
}

void upload_leave(struct upload *u) { u->done = NULL; }
