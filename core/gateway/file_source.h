/* file_source.h -- the content of a file, as a source. See file_source.c. */
#ifndef PERILUNE_GATEWAY_FILE_SOURCE_H
#define PERILUNE_GATEWAY_FILE_SOURCE_H

#include "flow/source.h"
#include "sys/loop.h"

/* Of the open file, which is the source's from now on, also on failure.  NULL: no memory. */
struct source *file_source_new(struct loop *loop, int fd, uint64_t bytes);

#endif
