/* What a process that has nothing to do need not keep in memory. */
#include "result.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* A segment that is never written holds what its file holds: the kernel maps it again when it is wanted, from the page
   cache as a rule. Segments that may be written hold relocated pointers, even where they are read-only by now. */
static int release_segments(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size, (void)context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    // What has no file behind it is the kernel's own (vdso(7)).
    const char *name = object->dlpi_name;
    if (strncmp(name, "linux-", 6) == 0) return 0;
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        uintptr_t end = start + segment->p_filesz;
        start = start & ~(page - 1);
        end = (end + page - 1) & ~(page - 1);
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void mlr_release_memory(void) {
    malloc_trim(0);
    dl_iterate_phdr(release_segments, NULL);
}

void mlr_use_one_heap(void) { mallopt(M_ARENA_MAX, 1); }
