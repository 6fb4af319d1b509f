/* Device filters of cgroup v2. */
#include "result.h"

static int bpf_call(int command, union bpf_attr *attributes) {
    RESULT(syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

static const char device_program_name[] = "mlrun_devices";

int mlr_bpf_load_device_program(const void *instructions, size_t count, char *log, size_t room) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)instructions;
    attributes.insn_cnt = (uint32_t)count;
    attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(attributes.prog_name, device_program_name, sizeof device_program_name);
    int program = bpf_call(BPF_PROG_LOAD, &attributes);
    if (program != -EINVAL && program != -EACCES) return program;
    /* Once more for the verifier's words: asking for them always would make every load slower. */
    attributes.log_buf = (uint64_t)(uintptr_t)log;
    attributes.log_size = (uint32_t)room;
    attributes.log_level = 1;
    return bpf_call(BPF_PROG_LOAD, &attributes);
}

int mlr_bpf_attach_device_program(int cgroup, int program, int replaced) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attributes.attach_flags |= BPF_F_REPLACE;
        attributes.replace_bpf_fd = (uint32_t)replaced;
    }
    return bpf_call(BPF_PROG_ATTACH, &attributes);
}

int mlr_bpf_detach_device_program(int cgroup, int program) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    return bpf_call(BPF_PROG_DETACH, &attributes);
}

int mlr_bpf_list_device_programs(int cgroup, uint32_t *identifiers, size_t room) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = (uint32_t)cgroup;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)identifiers;
    attributes.query.prog_cnt = (uint32_t)room;
    int result = bpf_call(BPF_PROG_QUERY, &attributes);
    return result < 0 ? result : (int)attributes.query.prog_cnt;
}

int mlr_bpf_open_program(uint32_t identifier) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = identifier;
    return bpf_call(BPF_PROG_GET_FD_BY_ID, &attributes);
}

int mlr_bpf_is_device_program(int program) {
    struct bpf_prog_info information;
    memset(&information, 0, sizeof information);
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.info.bpf_fd = (uint32_t)program;
    attributes.info.info_len = sizeof information;
    attributes.info.info = (uint64_t)(uintptr_t)&information;
    int result = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
    if (result < 0) return result;
    return strcmp(information.name, device_program_name) == 0;
}
