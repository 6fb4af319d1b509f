internal import CLinux

/// The memory of this process.
public enum ProcessMemory {
    /// Gives back what a process at rest does not need: free heap, and the pages of program and libraries that hold what
    /// their files hold. For the moment when there is nothing more to do; what runs next finds its pages in the page
    /// cache, at a fraction of a microsecond each.
    public static func release() { mlr_release_memory() }

    /// Lets all threads share one heap. To be called before a second thread is started.
    public static func useOneHeap() { mlr_use_one_heap() }
}
