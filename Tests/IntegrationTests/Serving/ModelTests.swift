import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// The real model server, beside the same model in the same onnxruntime outside of any container.
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(
            if: TestMachine.modelImage != nil, "needs MLRUN_TEST_MODEL_IMAGE: what scripts/model-image/build makes"),
        .enabled(
            if: TestMachine.path(of: "/usr/bin/python3.11") != nil,
            "needs Debian 12's python3.11, which the image's wheels are for"))
    struct ModelTests {
        @Test("the model answers through mlrun as it answers outside, for noise, tones and speech")
        func equalAnswers() throws {
            let archive = try #require(TestMachine.modelImage)
            let outside = try ModelOutside(archive: archive)
            var inputs = [(name: "tones", wave: Wave.tonesAndNoise())]
            if TestMachine.isInstalled("espeak-ng") {
                inputs.append(("speech", try Wave.spoken(in: outside.directory)))
            }
            try TestHost.with { host throws in
                try host.succeed(
                    "start", "--name", "silero", "-p", "127.0.0.1:0:8000", "--ready", "http:/health",
                    "oci-archive:\(archive)",
                    seconds: 180)
                let port = try host.port(of: "silero")
                for (name, wave) in inputs {
                    let answer = try HTTPRequest(port: port, method: "POST", path: "/v1/speech", body: wave.file).send()
                    #expect(answer.status == 200, "\(answer.text)")
                    let inside = Self.numbers(try JSON(parsing: answer.body)["probabilities"])
                    let expected = try outside.probabilities(of: wave)
                    #expect(inside.count == wave.samples.count / 512)
                    #expect(inside.count == expected.count)
                    let largest = zip(inside, expected).map { abs($0 - $1) }.max() ?? 1
                    // The server rounds to four digits.
                    #expect(largest <= 0.00011, "\(name): they differ by up to \(largest)")
                    if name == "speech" {
                        #expect((inside.max() ?? 0) > 0.9, "the model hears the sentence")
                        #expect((inside.first ?? 1) < 0.5, "and the silence before it")
                    }
                }
                #expect(try host.succeed("exec", "silero", "id", "-u").lines == ["1000"])
                let report = try host.inspect("silero")["startReport"]?.array?.compactMap {
                    $0["name"]?.string ?? $0["phase"]?.string
                }
                #expect(report?.last == "ready", "\(report ?? [])")
            }
        }

        static func numbers(_ json: JSON?) -> [Double] {
            (json?.array ?? []).compactMap {
                switch $0 {
                case .number(let value): value
                case .integer(let value): Double(value)
                default: nil
                }
            }
        }
    }
}

/// The image's wheels and model, unpacked, and asked with this machine's Python.
struct ModelOutside {
    let directory: TestDirectory

    init(archive: String) throws {
        directory = try TestDirectory()
        let root = directory.path
        try File.makeDirectories("\(root)/image")
        try File.makeDirectories("\(root)/tree")
        try Program.succeed("tar", "-xf", archive, "-C", "\(root)/image")
        func blob(_ descriptor: JSON?) throws -> String {
            guard let digest = descriptor?["digest"]?.string else { throw TestFailure("\(archive): no digest") }
            return "\(root)/image/blobs/sha256/\(digest.dropFirst("sha256:".count))"
        }
        let index = try JSON(parsing: File.read("\(root)/image/index.json"))
        let manifest = try JSON(parsing: File.read(try blob(index["manifests"]?.array?.first)))
        for layer in manifest["layers"]?.array ?? [] {
            try Program.succeed("tar", "-xzf", try blob(layer), "-C", "\(root)/tree")
        }
        try directory.write("ask.py", Self.script)
    }

    /// What onnxruntime says of each 512 samples, with 64 of the window before in front.
    func probabilities(of wave: Wave) throws -> [Double] {
        let file = try directory.write("input.wav", wave.file)
        let root = directory.path
        let outcome = try Program.run(
            ["/usr/bin/python3.11", "\(root)/ask.py", "\(root)/tree/models/silero_vad.onnx", file],
            environment: ["PYTHONPATH": "\(root)/tree/opt/python", "OMP_NUM_THREADS": "1"], seconds: 120)
        guard outcome.status == 0 else { throw TestFailure("onnxruntime outside: \(outcome)") }
        return Integration.ModelTests.numbers(try JSON(parsing: Array(outcome.output.utf8)))
    }

    private static let script = """
        import json, sys, wave
        import numpy, onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        with wave.open(sys.argv[2]) as audio:
            samples = numpy.frombuffer(audio.readframes(audio.getnframes()), "<i2").astype(numpy.float32) / 32768
        state = numpy.zeros((2, 1, 128), numpy.float32)
        padded = numpy.concatenate([numpy.zeros(64, numpy.float32), samples])
        answers = []
        for start in range(0, len(samples) - 511, 512):
            value, state = session.run(
                None, {"input": padded[None, start:start + 576], "state": state, "sr": numpy.array(16000, numpy.int64)})
            answers.append(float(value[0, 0]))
        print(json.dumps(answers))

        """
}
