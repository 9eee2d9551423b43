/* upload.h -- a file of a client, on its way to the disk. See upload.c. */
#ifndef PERILUNE_GATEWAY_UPLOAD_H
#define PERILUNE_GATEWAY_UPLOAD_H

#include "base/buf.h"
#include "jobs/file_store.h"
#include "sys/loop.h"

struct upload;

struct upload_options {
    struct loop                *loop;
    const struct file_settings *files;   /* copied */
    struct slice                tenant;
    const struct file_facts    *facts;
    struct buf                 *body;    /* taken; content is a part of it */
    struct slice                content;
    /* Once, later, unless upload_leave() came: 0 and the file is there; FILE_TOO_MANY; or
     * PERILUNE_ERR_IO, with errno. */
    void                      (*done)(void *ud, int rc);
    void                       *ud;
};

/* NULL, with errno: it cannot be begun. */
struct upload *upload_new(const struct upload_options *opt);
/* Nobody waits for it: no file is made. */
void upload_leave(struct upload *u);

#endif
