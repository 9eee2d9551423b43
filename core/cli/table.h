/* table.h -- perilune cache table. See table.c. */
#ifndef PERILUNE_CLI_TABLE_H
#define PERILUNE_CLI_TABLE_H

/* argv[0] is "table".  Returns the exit status. */
int table_command(int argc, char **argv);

#endif
