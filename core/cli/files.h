/* files.h -- files that commands write. See files.c. */
#ifndef PERILUNE_CLI_FILES_H
#define PERILUNE_CLI_FILES_H

#include "base/buf.h"

/* All of it, in place of what was there.  Returns NULL, or why not, and then there is no such file. */
const char *files_write(const char *path, const struct buf *from);

#endif
