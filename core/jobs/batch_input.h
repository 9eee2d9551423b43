/* batch_input.h -- the lines of a file, one at a time. See batch_input.c. */
#ifndef PERILUNE_JOBS_BATCH_INPUT_H
#define PERILUNE_JOBS_BATCH_INPUT_H

#include <stdint.h>

#include "base/buf.h"

struct batch_input {
    int         fd;
    const char *path;
    struct buf  bytes;     /* read and not given out yet */
    size_t      seen;      /* of these: without a line end */
    size_t      given;     /* bytes of the line that was given last, its end included */
    uint64_t    device, inode; /* which file it is */
    uint32_t    line;      /* number of the line that was given last */
    bool        ended, skipping; /* skipping: over the rest of a line that is too long */
};

enum batch_input_result { BATCH_INPUT_END, BATCH_INPUT_LINE, BATCH_INPUT_LONG, BATCH_INPUT_FAILED };

/* Returns 0, or an error with a sentence in err. */
int  batch_input_open(struct batch_input *in, const char *path, char *err, size_t errlen);
void batch_input_close(struct batch_input *in);
/* From the first line on again. */
void batch_input_rewind(struct batch_input *in);
/* The next line without its end, borrowed until the next call; LONG: it has more than BATCH_LINE_MAX bytes, and *line
 * has none of them; FAILED: errno says why. */
enum batch_input_result batch_input_next(struct batch_input *in, struct slice *line);

#endif
