/* batch_input.c -- the lines of a file, one at a time.
 *
 *     file   |-- given --|-- a line --|-- read ahead --|........|
 *                        bytes ----------------------->
 *
 * However large the file is, what is held of it is a line and what was read behind it.  It is read on the thread that
 * asks: what comes is in the kernel's cache, for it is read ahead, and the file was looked through before. */
#include "jobs/batch_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/perilune.h"
#include "jobs/batch_line.h"

#define READ_SIZE (256u << 10)

int batch_input_open(struct batch_input *in, const char *path, char *err, size_t errlen) {
    struct stat st;
    *in = (struct batch_input){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC) };
    buf_init(&in->bytes, 0);
    if (in->fd < 0 || fstat(in->fd, &st) != 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(err, errlen, "%s: not a regular file; it is read twice, so write what comes from a pipe to a file "
                              "first", path);
    } else {
        in->device = st.st_dev;
        in->inode = st.st_ino;
        return 0;
    }
    batch_input_close(in);
    return PERILUNE_ERR_IO;
}

void batch_input_close(struct batch_input *in) {
    if (in->fd >= 0) close(in->fd);
    in->fd = -1;
    buf_deinit(&in->bytes);
}

void batch_input_rewind(struct batch_input *in) {
    lseek(in->fd, 0, SEEK_SET);
    buf_clear(&in->bytes);
    in->seen = in->given = 0;
    in->line = 0;
    in->ended = in->skipping = false;
}

/* More bytes; false: there is no memory, or the system refuses. */
static bool read_more(struct batch_input *in) {
    char *to = buf_reserve(&in->bytes, READ_SIZE);
    if (to == NULL) {
        errno = ENOMEM;
        return false;
    }
    ssize_t n;
    do n = read(in->fd, to, READ_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0) return false;
    buf_advance(&in->bytes, (size_t)n);
    in->ended = n == 0;
    return true;
}

static enum batch_input_result give(struct batch_input *in, size_t len, size_t end, struct slice *line) {
    bool skipped = in->skipping;
    in->skipping = false;
    in->given = len + end;
    in->seen = 0;
    in->line++;
    *line = slice_of(buf_get(&in->bytes).ptr, skipped ? 0 : len);
    if (in->line == 1) *line = json_without_bom(*line);
    return skipped || len > BATCH_LINE_MAX ? BATCH_INPUT_LONG : BATCH_INPUT_LINE;
}

enum batch_input_result batch_input_next(struct batch_input *in, struct slice *line) {
    *line = SLICE("");
    buf_consume(&in->bytes, in->given);
    in->given = 0;
    for (;;) {
        struct slice s = buf_get(&in->bytes);
        const char *end = s.len > in->seen ? memchr(s.ptr + in->seen, '\n', s.len - in->seen) : NULL;
        if (end != NULL) return give(in, (size_t)(end - s.ptr), 1, line);
        in->seen = s.len;
        if (in->ended) return s.len > 0 || in->skipping ? give(in, s.len, 0, line) : BATCH_INPUT_END;
        if (s.len > BATCH_LINE_MAX) { /* it will not be given: nothing of it is held */
            in->skipping = true;
            buf_clear(&in->bytes);
            in->seen = 0;
        }
        if (!read_more(in)) return BATCH_INPUT_FAILED;
    }
}
