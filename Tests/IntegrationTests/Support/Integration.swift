import Testing

/// All tests of this target: one at a time, since they share the machine's processors and watch what it does.
///
/// They run the programs in `MLRUN_TEST_PROGRAMS` (scripts/test sets it to dist/bin) in directories of their own, and
/// leave no process, mount, cgroup or file behind.
@Suite(.serialized, TestImage.RemovedAtEnd())
enum Integration {}
