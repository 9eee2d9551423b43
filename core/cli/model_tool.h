/* model_tool.h -- what the commands of `perilune model` share. See model_tool.c. */
#ifndef PERILUNE_CLI_MODEL_TOOL_H
#define PERILUNE_CLI_MODEL_TOOL_H

#include "local/facts.h"

/* argv[0] is the command's name.  Each returns the exit status. */
int model_tool_show(int argc, char **argv);
int model_tool_check(int argc, char **argv);
int model_tool_quantize(int argc, char **argv);
int model_tool_warm(int argc, char **argv);

/* "1.5 GB", "98.4 MB", "17 bytes" */
const char *model_tool_size(uint64_t bytes, char to[32]);
/* "134.5 M", "7.2 B" */
const char *model_tool_count(uint64_t numbers, char to[32]);

/* The file's shape and facts.  0, or 1 after saying what is wrong with it.  The caller closes g, in any case. */
int model_tool_open(const char *command, const char *path, struct gguf *g, struct facts *f);

#endif
