/* files.h -- files that commands read and write. See files.c. */
#ifndef PERILUNE_CLI_FILES_H
#define PERILUNE_CLI_FILES_H

#include "base/buf.h"

#define FILES_WHY  80   /* bytes of a reason */
#define FILES_PATH 1100 /* bytes of files_temp()'s path */

/* All of it into `to`, whose limit is the file's; path NULL or "-" is standard input.  Returns NULL, or why not (in
 * `why`): "No such file or directory", "is over 64 MiB". */
const char *files_read(const char *path, struct buf *to, char why[FILES_WHY]);

/* All of it, in place of what was there.  Returns NULL, or why not, and then there is no such file. */
const char *files_write(const char *path, const struct buf *from);

/* A new file of this user's alone in $TMPDIR, or in /tmp: "NAME-XXXXXXENDING".  Returns its descriptor, or -1 with
 * errno; path then says where it was to be. */
int files_temp(const char *name, const char *ending, char path[FILES_PATH]);

#endif
