/* script.h -- programs in Lua that `perilune script` runs. See script.c. */
#ifndef PERILUNE_ROCK_SCRIPT_H
#define PERILUNE_ROCK_SCRIPT_H

/* Runs the file ("-": standard input) with these arguments; config: all of it inside of perilune.run() with this
 * configuration, or NULL.  The exit status. */
int rock_script(const char *file, const char *config, int argc, char **argv);

#endif
