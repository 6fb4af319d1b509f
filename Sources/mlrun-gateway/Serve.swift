internal import CLinux
internal import Gateway
internal import Glibc
internal import LinuxSystem

/// Gives up every privilege, then serves until SIGTERM or SIGINT.
func serve(_ options: GatewayOptions) throws(SystemError) {
    // Whoever started this program may control it, whatever it becomes now.
    let owner = getuid()
    let control = try adopt(options.controlDescriptor)
    ProcessMemory.useOneHeap()
    // A connection takes two descriptors.
    let descriptors = try OpenFileLimit.raise()
    try giveUpPrivileges(options.user)
    // Blocked before any other thread starts, so that all of them inherit it and only the descriptor tells.
    let signals = try signalDescriptor([SIGTERM, SIGINT])
    var configuration = Gateway.Configuration(owner: owner)
    configuration.threads = options.threads
    configuration.drainTimeout = options.drainTimeout
    configuration.connections = options.connections(descriptors: descriptors)
    try Gateway(control: control, signals: signals, configuration: configuration).run()
}

/// Makes sure that the descriptor is what mlrund hands over, a listening SOCK_SEQPACKET socket, or what mlrun does, a
/// connected one.
private func adopt(_ descriptor: Int32) throws(SystemError) -> Gateway.ControlSocket {
    let operation = "use descriptor \(descriptor) as the control socket"
    var (type, listens): (Int32, Int32) = (0, 0)
    try check(mlr_get_socket_option(descriptor, SOL_SOCKET, SO_TYPE, &type), operation)
    try check(mlr_get_socket_option(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens), operation)
    guard type == Int32(SOCK_SEQPACKET.rawValue) else { throw SystemError(operation, .invalidArgument) }
    try check(mlr_set_cloexec(descriptor, true), operation)
    let socket = SharedDescriptor(taking: descriptor)
    return listens == 1 ? .listening(socket) : .connected(socket)
}

private func giveUpPrivileges(_ user: GatewayOptions.User?) throws(SystemError) {
    if let user { try check(mlr_become_user(user.uid, user.gid), "become user \(user.uid):\(user.gid)") }
    try check(mlr_prctl(Int32(MLR_PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0), "set no_new_privs")
}

private func signalDescriptor(_ numbers: [Int32]) throws(SystemError) -> SharedDescriptor {
    SharedDescriptor(taking: try check(mlr_signalfd(numbers, numbers.count), "receive signals"))
}
