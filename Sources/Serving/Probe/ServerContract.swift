public import OCISpec

/// How the servers that people put models into say that they are well.
struct ServerContract: Sendable {
    let name: String
    /// Parts of an image name that mean this server.
    let imageNames: [String]
    /// The port it listens on by itself.
    let port: UInt16
    let ready: (path: String, expecting: HTTPExpectation)
    let live: (path: String, expecting: HTTPExpectation)

    private init(
        _ name: String, _ imageNames: [String], _ port: UInt16, _ ready: (String, HTTPExpectation),
        live: (String, HTTPExpectation)? = nil
    ) {
        self.name = name
        self.imageNames = imageNames
        self.port = port
        self.ready = ready
        self.live = live ?? ready
    }

    func candidate(port: UInt16) -> ProbeCandidate {
        ProbeCandidate(
            name, ready: .http(port: port, path: ready.path, expecting: ready.expecting),
            live: .http(port: port, path: live.path, expecting: live.expecting))
    }

    /// More telling ones first: where several images' names match, and when a server of unknown make is asked.
    static let known: [ServerContract] = [
        ServerContract(
            "vLLM", ["vllm"], 8000, ("/v1/models", .nonEmptyArray(["data"])), live: ("/health", .ok)),
        ServerContract("llama.cpp", ["llama.cpp", "llama-cpp", "llamacpp"], 8080, ("/health", .ok)),
        ServerContract("SGLang", ["sglang"], 30000, ("/health", .ok)),
        ServerContract(
            "TGI", ["text-generation-inference", "text-embeddings-inference"], 80, ("/health", .ok)),
        ServerContract(
            "Triton", ["tritonserver"], 8000, ("/v2/health/ready", .ok), live: ("/v2/health/live", .ok)),
        ServerContract(
            "NIM", ["nvcr.io/nim"], 8000, ("/v1/health/ready", .ok), live: ("/v1/health/live", .ok)),
        ServerContract(
            "KServe V2", ["mlserver", "kserve"], 8080, ("/v2/health/ready", .ok), live: ("/v2/health/live", .ok)),
        ServerContract(
            "Cog", ["cog-", "r8.im"], 5000, ("/health-check", .field(["status"], values: ["READY", "BUSY"])),
            live: ("/health-check", .fieldOtherThan(["status"], values: ["DEFUNCT", "SETUP_FAILED"]))),
        ServerContract("BentoML", ["bentoml", "bento"], 3000, ("/readyz", .ok), live: ("/livez", .ok)),
        ServerContract("Ray Serve", ["rayproject", "ray-serve", "rayserve"], 8000, ("/-/healthz", .ok)),
        ServerContract("Ollama", ["ollama"], 11434, ("/api/version", .ok)),
        ServerContract("TorchServe", ["torchserve"], 8080, ("/ping", .body("Healthy"))),
        ServerContract("SageMaker or MLflow", ["sagemaker", "mlflow"], 8080, ("/ping", .ok)),
    ]

    /// The contract of a server by its image's name.
    static func named(in reference: String) -> ServerContract? {
        let name = reference.lowercased().split(separator: "@")[0]
        return known.first { $0.imageNames.contains { name.contains($0) } }
    }

    /// What servers of unknown make are asked, in this order; a 4xx answer is the sign to try the next.
    static let unknownMake: [(name: String, path: String, expecting: HTTPExpectation)] = [
        ("Cog", "/health-check", .field(["status"], values: ["READY", "BUSY"])),
        ("KServe V2", "/v2/health/ready", .ok),
        ("ready path", "/readyz", .ok),
        ("health path", "/health", .ok),
        ("health path", "/healthz", .ok),
        ("ping path", "/ping", .ok),
        // An open port says little: the kernel accepts connections for a server that hangs.
        ("any answer at", "/", .anyAnswer),
    ]
}

extension ProbeCandidate {
    /// The label of an image that names its probe, in the form of `--ready`.
    public static let label = "mlrun.ready"

    /// What to ask a service whose readiness nobody described, best guess first: the contract of the server that the
    /// image's name gives away, the image's HEALTHCHECK, the usual health paths, and at last whether its port accepts
    /// connections. Empty where the service has no port and no HEALTHCHECK: then it is ready as soon as it runs.
    public static func candidates(image: ImageConfiguration, settings: ServiceSettings) -> [ProbeCandidate] {
        let contract = ServerContract.named(in: settings.image.reference)
        let port = ContainerBuilder.servicePort(image, settings) ?? contract?.port
        var result: [ProbeCandidate] = []
        if let text = image.labels[label], let probe = try? Probe(parsing: text),
            let check = probe.check(defaultPort: port)
        {
            result.append(ProbeCandidate("label \(label) of the image", ready: check, live: check))
        }
        if let contract, let port { result.append(contract.candidate(port: port)) }
        if let healthcheck = image.healthcheck, let command = healthcheck.command {
            let check = ProbeCheck.exec(command)
            let timeout: Duration = healthcheck.timeout > 0 ? .nanoseconds(healthcheck.timeout) : .seconds(30)
            result.append(ProbeCandidate("HEALTHCHECK of the image", ready: check, live: check, timeout: timeout))
        }
        guard let port else { return result }
        let speaksHTTP = settings.ports.first { $0.containerPort == port }?.transport != .tcp
        if speaksHTTP, contract == nil {
            result += ServerContract.unknownMake.map { guess in
                let check = ProbeCheck.http(port: port, path: guess.path, expecting: guess.expecting)
                return ProbeCandidate("\(guess.name) \(guess.path)", ready: check, live: check)
            }
        }
        result.append(ProbeCandidate("open port", ready: .tcp(port: port), live: .tcp(port: port)))
        return result
    }
}

extension ImageHealthcheck {
    /// The command to run; nil for NONE and for one that is only inherited.
    var command: [String]? {
        guard let kind = test.first else { return nil }
        let rest = Array(test.dropFirst())
        switch kind {
        case "CMD": return rest.isEmpty ? nil : rest
        case "CMD-SHELL": return rest.isEmpty ? nil : ["/bin/sh", "-c"] + rest
        default: return nil
        }
    }
}

extension Probe {
    /// The check of an explicit probe. nil for ``none`` and ``automatic``, and where it needs a port that is not known.
    public func check(defaultPort: UInt16?) -> ProbeCheck? {
        switch self {
        case .none, .automatic: nil
        case .http(let path, let port):
            (port ?? defaultPort).map { .http(port: $0, path: path, expecting: .success) }
        case .tcp(let port): (port ?? defaultPort).map { .tcp(port: $0) }
        case .exec(let command): .exec(command)
        case .json(let path, let port, let field, let values):
            (port ?? defaultPort).map { .http(port: $0, path: path, expecting: .field(field, values: values)) }
        }
    }
}
