/*
 * Linked into mlrun-oci alone: seals it before libc and Swift's runtime start, which would otherwise start twice for each
 * container. The linker has to be told to begin at mlr_entry, which exists for x86-64; without it the program seals itself later.
 */
#ifndef CEARLYSEAL_H
#define CEARLYSEAL_H
#endif
