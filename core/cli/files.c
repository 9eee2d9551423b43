/* files.c -- files that commands write.
 *
 * A command writes beside the place first (PATH.new) and moves the file there when it is known to be whole, so that
 * what exists can be used. */
#include "cli/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *files_write(const char *path, const struct buf *from) {
    FILE *f = fopen(path, "wb");
    bool good = f != NULL && fwrite(buf_get(from).ptr, 1, buf_len(from), f) == buf_len(from);
    if (f != NULL && fclose(f) != 0) good = false;
    int why = errno;
    if (!good && f != NULL) unlink(path);
    return good ? NULL : strerror(why);
}
