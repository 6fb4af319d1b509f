import Testing

@testable import Container

@Suite("Files of cgroup v2")
struct CgroupTextTests {
    @Test("cpu.stat with and without its controller")
    func cpu() {
        let full = CgroupStatistics.CPU(
            """
            usage_usec 120
            user_usec 100
            system_usec 20
            core_sched.force_idle_usec 0
            nr_periods 7
            nr_throttled 3
            throttled_usec 900
            """)
        #expect(
            full
                == .init(usage: 120, user: 100, system: 20, periods: 7, throttledPeriods: 3, throttled: 900))
        #expect(CgroupStatistics.CPU("usage_usec 1\nuser_usec 1\nsystem_usec 0\n").periods == nil)
    }

    @Test("memory.events of old and new kernels")
    func events() {
        let new = CgroupStatistics.MemoryEvents("low 0\nhigh 1\nmax 20\noom 3\noom_kill 2\noom_group_kill 1\n")
        #expect(new.high == 1 && new.max == 20 && new.oom == 3 && new.oomKill == 2 && new.oomGroupKill == 1)
        #expect(CgroupStatistics.MemoryEvents("low 0\nhigh 0\nmax 0\noom 0\noom_kill 5\n").oomGroupKill == 0)
    }

    @Test("io.stat leaves devices without figures out")
    func io() {
        let devices = CgroupStatistics.IO.devices(
            "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=3 dios=4\n7:0 \n254:0 rbytes=5 wbytes=0 rios=1 wios=0\n")
        #expect(devices.keys.sorted() == ["254:0", "8:0"])
        #expect(
            devices["8:0"]
                == .init(readBytes: 10, writtenBytes: 20, discardedBytes: 3, reads: 1, writes: 2, discards: 4))
    }

    @Test("pressure, with and without a line for all processes")
    func pressure() throws {
        let both = try #require(
            CgroupStatistics.Pressure(
                """
                some avg10=1.50 avg60=0.25 avg300=0.00 total=42
                full avg10=0.10 avg60=0.00 avg300=0.00 total=7
                """))
        #expect(both.some.average10 == 1.5 && both.some.average60 == 0.25 && both.some.total == 42)
        #expect(both.full?.total == 7)
        #expect(CgroupStatistics.Pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")?.full == nil)
        #expect(CgroupStatistics.Pressure("") == nil)
    }

    @Test("a limit is a number or none")
    func limits() {
        #expect(CgroupText.limit("max\n") == nil)
        #expect(CgroupText.limit("4096\n") == 4096)
    }

    @Test("working memory is what the kernel cannot drop at once, never below zero")
    func working() {
        var memory = CgroupStatistics.Memory(current: 100)
        memory.details = ["inactive_file": 30]
        #expect(memory.working == 70)
        memory.details = ["inactive_file": 300]
        #expect(memory.working == 0)
    }
}
