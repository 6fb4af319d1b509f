/* The command line. */
#include "faults.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: syscall-faults --program FILE --report FILE [--fail PROCESS:CALL:ERROR | --kill PROCESS:CALL] COMMAND…\n"
    "\n"
    "Without --fail and --kill the calls of the program are listed in the report, one a line: the process, the number of the\n"
    "call in it, the call, and the errors that --fail takes for it, or \"-\" and why it is left alone.\n"
    "With one of them the report has the line of that call, or \"not reached\".\n"
    "The exit status is the command's.\n";

static _Noreturn void refuse(const char *what) {
    fprintf(stderr, "syscall-faults: %s\n%s", what, usage);
    exit(125);
}

/* PROCESS:CALL with, to fail, :ERROR. */
static void read_target(struct target *target, const char *text, bool fails) {
    char *end;
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof target->process) refuse("the call is not PROCESS:CALL");
    memcpy(target->process, text, (size_t)(colon - text));
    target->call = strtoul(colon + 1, &end, 10);
    if (target->call == 0) refuse("the call is not PROCESS:CALL");
    if (!fails) return;
    if (*end != ':' || (target->error = error_number(end + 1)) == 0) refuse("that is no error");
}

int main(int count, char **words) {
    static const struct option known[] = {
        {"program", required_argument, NULL, 'p'}, {"report", required_argument, NULL, 'r'},
        {"fail", required_argument, NULL, 'f'},    {"kill", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    struct target target = {.error = 0};
    struct options options = {.program = NULL};
    for (int letter; (letter = getopt_long(count, words, "+", known, NULL)) >= 0;) {
        switch (letter) {
        case 'p': options.program = optarg; break;
        case 'r': options.report = optarg; break;
        case 'f':
        case 'k':
            read_target(&target, optarg, letter == 'f');
            options.target = &target;
            break;
        default: refuse("that is no option");
        }
    }
    if (!options.program || !options.report || optind == count) refuse("a program, a report and a command are needed");
    options.command = words + optind;
    return trace(&options);
}
