/*
 * Linked into mlrun-oci alone: seals it before Swift's runtime starts, which would otherwise start twice for each container.
 */
#ifndef CEARLYSEAL_H
#define CEARLYSEAL_H
#endif
