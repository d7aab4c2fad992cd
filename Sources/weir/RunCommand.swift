// `weir run`: the gateway. Live packets between ports, through the firewall, until it is told to stop.

#if os(Linux)
  import ArgumentParser
  import Conntrack
  import Firewall
  import Gateway
  import HostSnapshot
  import Logging
  import Ruleset
  import ServiceLifecycle

  struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "run", abstract: "Run the firewall between live ports (docs/gateway.md).")

    @Option(
      help: ArgumentHelp(
        "A port: NAME is what rules and routes call it, KIND tun, packet, xdp or xdp-generic; or nfqueue:N-M, alone. May be repeated.",
        valueName: "NAME=KIND:DEVICE"))
    var port: [String]

    @Option(
      help: ArgumentHelp(
        "An interface to the programs of this machine, which are reached at the gateway's addresses.",
        valueName: "tun:NAME"))
    var local: String?

    @Flag(help: "nfqueue: packets that do not fit into a queue pass, instead of being dropped.")
    var failOpen = false

    @OptionGroup var machine: MachineOptions

    @Option(
      help: ArgumentHelp(
        "An address of a port: lan=192.168.1.1/24. May be repeated.", valueName: "PORT=ADDRESS"))
    var address: [String] = []

    @Option(
      help: ArgumentHelp(
        "A route: default=203.0.113.1@wan, 10.0.0.0/8=@lan. May be repeated.",
        valueName: "NETWORK=GATEWAY@PORT"))
    var route: [String] = []

    @Option(
      help: ArgumentHelp(
        "Keep the table in this file, once a second and at the end; read it at the start.",
        valueName: "FILE"))
    var state: String?

    @Option(
      help: ArgumentHelp(
        "Where `weir conntrack` and `weir reload` reach this gateway: a socket that only its owner may use.",
        valueName: "SOCKET"))
    var control = ControlServer.defaultPath

    @Option(help: "How many workers share the packets. Only 1 so far: see docs/gateway.md.")
    var workers = 1

    @Option(help: "text for people, json for programs: one line an event, on standard error.")
    var logFormat: LogFormat = .text

    enum LogFormat: String, ExpressibleByArgument, CaseIterable {
      case text
      case json
    }

    func run() async throws {
      if workers != 1 {
        throw Failure.unusable(
          "--workers: only 1 is possible: a translated connection's replies cannot be steered to its worker yet"
        )
      }
      let logFormat = logFormat
      let logger = Logger(label: "weir") { _ in LineLogHandler(isJSON: logFormat == .json) }
      let gateway = try Gateway(source(), statePath: state, control: control, logger)
      let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
          services: [.init(service: gateway)],
          gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
      do {
        try await group.run()
      } catch let failure as Failure {
        throw failure
      } catch {
        throw Failure(message: "\(error)", status: 1)
      }
    }

    /// Does what needs more privileges than ports do, and keeps only what those need. To be called before there are other threads.
    func giveUpPrivileges() throws {
      do {
        // What is no port is said later.
        let hasXDP = try XDPPrograms.load(
          for: port.compactMap { try? PortDescription(parsing: $0) })
        try Privileges.keepNetworkOnly(hasXDP: hasXDP)
      } catch {
        throw Failure(message: "weir: \(error)", status: 1)
      }
    }

    private func isQueue(_ text: String) -> Bool {
      text.hasPrefix("nfqueue:") || text.contains("=nfqueue:")
    }

    private func parseQueues() throws -> QueueNumbers? {
      let texts = port.filter(isQueue)
      guard let text = texts.first else { return nil }
      guard texts.count == 1, text.hasPrefix("nfqueue:"),
        let numbers = QueueNumbers(text.dropFirst("nfqueue:".count))
      else {
        throw Failure.unusable(
          "--port: \(text): expected nfqueue:N or nfqueue:N-M once, without a name, \(QueueNumbers.most) queues at most"
        )
      }
      return numbers
    }

    private func parseLocal() throws -> LocalDescription? {
      do {
        return try local.map { text throws in try LocalDescription(parsing: text) }
      } catch {
        throw Failure.unusable("--local: \(error)")
      }
    }

    private func source() throws -> GatewaySource {
      do {
        let source = GatewaySource(
          machine: machine,
          ports: try port.filter { !isQueue($0) }.map { text throws in
            try PortDescription(parsing: text)
          },
          queues: try parseQueues(), failsOpen: failOpen, local: try parseLocal(),
          addresses: try address.map { text throws in try AddressDescription(parsing: text) },
          routes: try route.map { text throws in try RouteDescription(parsing: text) })
        try source.check()
        return source
      } catch let error as PortTextError {
        throw Failure.unusable("--port: \(error)")
      } catch let error as MachineTextError {
        throw Failure.unusable("\(error)")
      }
    }
  }
#endif
