import OCISpec
import Testing

@testable import Serving

@Suite("Answers to probes")
struct VerdictTests {
    private func http(_ expecting: HTTPExpectation, _ status: Int, _ body: String = "") -> ProbeVerdict {
        ProbeCheck.http(port: 80, path: "/h", expecting: expecting)
            .verdict(of: .http(status: status, body: Array(body.utf8)))
    }

    @Test(
        "a given http probe passes from 200 to 399",
        arguments: [(200, true), (204, true), (302, true), (404, false), (500, false)])
    func status(code: Int, passes: Bool) { #expect(http(.success, code).isPass == passes) }

    @Test(
        "a server that loads fails, one that knows no such path is another server",
        arguments: [
            (503, false), (429, false), (404, true), (401, true), (302, true), (204, true),
        ])
    func guesses(code: Int, isUnknown: Bool) {
        let verdict = http(.ok, code)
        if case .unknownQuestion = verdict { #expect(isUnknown) } else { #expect(!isUnknown && !verdict.isPass) }
    }

    @Test("a field of the answer decides")
    func field() {
        let expected = HTTPExpectation.field(["status"], values: ["READY", "BUSY"])
        #expect(http(expected, 200, #"{"status":"BUSY"}"#) == .pass)
        #expect(
            http(expected, 200, #"{"status":"STARTING"}"#).text
                == "GET /h on port 80 says status is STARTING, not READY or BUSY")
        guard case .unknownQuestion = http(expected, 200, "<html>") else {
            Issue.record("no JSON was taken for an answer")
            return
        }
        #expect(http(.field(["a", "1", "b"], values: ["true"]), 200, #"{"a":[0,{"b":true}]}"#) == .pass)
        #expect(http(.nonEmptyArray(["data"]), 200, #"{"data":[{}]}"#) == .pass)
        #expect(!http(.nonEmptyArray(["data"]), 200, #"{"data":[]}"#).isPass)
        #expect(http(.fieldOtherThan(["status"], values: ["DEFUNCT"]), 200, #"{"status":"BUSY"}"#) == .pass)
        #expect(!http(.fieldOtherThan(["status"], values: ["DEFUNCT"]), 200, #"{"status":"DEFUNCT"}"#).isPass)
        #expect(!http(.body("Healthy"), 200, "Sick").isPass)
    }

    @Test("a command passes with 0 and says its first line otherwise")
    func command() {
        let check = ProbeCheck.exec(["check", "it"])
        #expect(check.verdict(of: .exec(exitCode: 0, output: "")) == .pass)
        #expect(
            check.verdict(of: .exec(exitCode: 2, output: "no model\nmore"))
                == .fail("the command check it ended with exit code 2: no model"))
    }

    @Test("checks survive JSON")
    func json() throws {
        for contract in ServerContract.known {
            let candidate = contract.candidate(port: 80)
            #expect(try ProbeCandidate(JSONCursor(candidate.json)) == candidate)
        }
        let exec = ProbeCandidate("x", ready: .exec(["a"]), live: .tcp(port: 1), timeout: .seconds(30))
        #expect(try ProbeCandidate(JSONCursor(exec.json)) == exec)
    }
}

@Suite("Guessing a probe")
struct CandidateTests {
    private func names(_ reference: String, _ image: ImageConfiguration, ports: [PublishedPort] = []) -> [String] {
        var settings = ServiceSettings(name: "x", image: .init(reference: reference))
        settings.ports = ports
        return ProbeCandidate.candidates(image: image, settings: settings).map(\.name)
    }

    @Test(
        "a known server is recognised by the name of its image",
        arguments: [
            ("docker.io/vllm/vllm-openai:v0.9", "vLLM"), ("ghcr.io/ggml-org/llama.cpp:server", "llama.cpp"),
            ("nvcr.io/nvidia/tritonserver:25.01-py3", "Triton"), ("nvcr.io/nim/meta/llama3:1", "NIM"),
            ("ghcr.io/huggingface/text-generation-inference:3", "TGI"), ("docker.io/ollama/ollama:latest", "Ollama"),
        ])
    func known(reference: String, name: String) {
        #expect(names(reference, ImageConfiguration()) == [name, "open port"])
    }

    @Test("a server of unknown make is asked the usual paths, its HEALTHCHECK before them")
    func unknown() {
        let image = ImageConfiguration(
            exposedPorts: ["8000/tcp"], healthcheck: ImageHealthcheck(test: ["CMD-SHELL", "curl -f localhost"]))
        let found = names("docker.io/team/sentiment:v3", image)
        #expect(found.first == "HEALTHCHECK of the image")
        #expect(found.last == "open port")
        #expect(found.contains("health path /health"))
    }

    @Test("a TCP service is not asked HTTP questions, and without any port it is ready when it runs")
    func noHTTP() throws {
        let port = PublishedPort(hostPort: 1, containerPort: 5432, transport: .tcp)
        #expect(names("docker.io/library/x:1", ImageConfiguration(), ports: [port]) == ["open port"])
        #expect(names("docker.io/library/x:1", ImageConfiguration()) == [])
        let settings = ServiceSettings(name: "x", image: .init(reference: "docker.io/library/x:1"))
        #expect(try ServiceRules(settings, image: ImageConfiguration()).readiness == .whenRunning)
    }

    @Test("a label of the image is the best guess, HEALTHCHECK NONE is none")
    func label() {
        let image = ImageConfiguration(
            exposedPorts: ["8000"], labels: [ProbeCandidate.label: "http:/up"],
            healthcheck: ImageHealthcheck(test: ["NONE"]))
        let found = names("docker.io/team/x:1", image)
        #expect(found.first == "label mlrun.ready of the image")
        #expect(!found.contains("HEALTHCHECK of the image"))
    }

    @Test("an explicit probe takes the service's port, and without one it is refused")
    func explicit() throws {
        var settings = ServiceSettings(name: "x", image: .init(reference: "docker.io/library/x:1"))
        settings.ready = try Probe(parsing: "http:/up")
        let error = #expect(throws: BuildError.self) { try ServiceRules(settings, image: ImageConfiguration()) }
        #expect(error?.setting == "ready")
        let rules = try ServiceRules(settings, image: ImageConfiguration(exposedPorts: ["9000/tcp", "8000/tcp"]))
        #expect(rules.readiness == .check(.http(port: 8000, path: "/up", expecting: .success)))
        #expect(rules.liveness == .none)
        settings.startupTimeout = .seconds(900)
        let patient = try ServiceRules(settings, image: ImageConfiguration(exposedPorts: ["8000"]))
        #expect(patient.startup.hardDeadline == .seconds(900))
    }
}
