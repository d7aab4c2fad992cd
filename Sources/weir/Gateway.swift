// The running gateway: a worker, and what goes on beside it until it is told to stop: rules loaded again, the
// table written to a file, links watched.

#if os(Linux)
  import Conntrack
  import Firewall
  import Gateway
  import Logging
  import Ruleset
  import ServiceLifecycle
  import UnixSignals

  struct Gateway: Service {
    private let source: GatewaySource
    private let logger: Logger
    private let statePath: String?
    private let machine: GatewayMachine
    private let worker: Worker
    private let control: ControlSocket

    /// Opens the ports and starts. Packets flow when this returns.
    init(
      _ source: GatewaySource, statePath: String?, control: String, _ logger: Logger
    ) throws {
      self.source = source
      self.logger = logger
      self.statePath = statePath
      let contents = try source.read()
      machine = contents.machine
      do {
        // First of all: a second gateway must not touch anything.
        self.control = try ControlSocket(control)
        var interfaces = InterfaceTable()
        for interface in machine.base.interfaces { _ = interfaces.register(interface.name) }
        // A port that makes its interface must have made it before it is asked about.
        var ports = GatewayPorts()
        for port in source.ports {
          try ports.open(port, interface: interfaces.register(port.name))
        }
        if let local = source.local { try ports.openLocal(local) }
        if let queues = source.queues { try ports.openQueues(queues, failsOpen: source.failsOpen) }
        let host =
          source.queues == nil ? try machine.host { LinkInfo($0.device) } : machine.base
        var firewall = try Firewall(
          ruleset: contents.ruleset, host: host, settings: contents.settings,
          seed: try SystemRandom.seed())
        firewall.tracker.expiry = .swept
        firewall.populateTable()
        Gateway.restore(contents.connections, statePath, into: &firewall, logger)
        worker = try Worker(firewall, ports: ports)
      } catch let error as MachineTextError {
        throw Failure.unusable("\(error)")
      } catch {
        throw Failure(message: "weir: \(error)", status: 1)
      }
      for port in source.ports {
        logger.info("\(port.name): \(port.kind.rawValue):\(port.device) is open")
      }
      if let queues = source.queues {
        logger.info("nfqueue:\(queues.first)-\(queues.last): the kernel's packets are heard")
      }
      if let local = source.local {
        logger.info("\(local.device): open to the gateway's own programs")
      }
    }

    private static func restore(
      _ connections: [Connection], _ statePath: String?, into firewall: inout Firewall,
      _ logger: Logger
    ) {
      firewall.advance(to: SystemClock.now)
      for connection in connections { _ = firewall.tracker.restore(connection) }
      guard let statePath else { return }
      do {
        if let count = try StateFile.restore(statePath, into: &firewall) {
          logger.info("\(statePath): \(count) connections are known again")
        }
      } catch {
        logger.error("\(error); the table begins empty")
      }
    }

    func run() async throws {
      let server = try ControlServer(control, workers: [worker]) { await reloadNow() }
      logger.info("\(control.path): commands are heard")
      defer { server.stop() }
      await withTaskGroup { group in
        group.addTask { await reloadWhenAsked() }
        group.addTask { source.queues == nil ? await watchLinks() : await watchMachine() }
        if let statePath { group.addTask { await keepState(statePath) } }
        try? await gracefulShutdown()
        group.cancelAll()
      }
      if let statePath { await save(statePath) { try await StateFile.lastContents(of: $0) } }
      await worker.stop()
      logger.info("stopped")
    }

    // MARK: Rules

    private func reloadWhenAsked() async {
      for await _ in await UnixSignalsSequence(trapping: .sighup) { _ = await reloadNow() }
    }

    /// Loads the rules again.
    /// - Returns: why the old ones stay in force instead.
    private func reloadNow() async -> String? {
      do {
        try await reload()
        logger.info("the rules were loaded again")
        return nil
      } catch {
        let reason = (error as? Failure)?.message ?? "\(error)"
        logger.error("the old rules stay in force: \(reason)")
        return "the old rules stay in force: \(reason)"
      }
    }

    /// Reads and checks everything, compiles, and only then changes anything.
    private func reload() async throws {
      let contents = try source.read()
      let known = try await worker.perform { (host: $0.host, interfaces: $0.interfaces) }
      let rules = try CompiledRules(
        contents.ruleset, interfaces: known.interfaces, host: known.host,
        seed: try SystemRandom.seed())
      try await worker.replaceRules(rules)
    }

    // MARK: Links

    private func watchLinks() async {
      var last = links()
      var gone: Set<String> = []
      while (try? await Task.sleep(for: .milliseconds(200))) != nil {
        var now = links()
        guard let missing = try? await worker.gonePorts() else { return }
        // An open TUN interface may have been given to another network namespace: then it is as it was.
        for (port, link) in now where link == nil && !missing.contains(port.name) {
          now[port] = last[port]
        }
        for name in missing.subtracting(gone).sorted() {
          logger.warning("\(name): the interface is gone; waiting for it")
        }
        for name in gone.subtracting(missing).sorted() {
          logger.info("\(name): the interface is back")
        }
        for (port, link) in now where missing.isDisjoint(with: [port.name]) {
          let wasUp = last[port]??.flags.contains(.up) ?? false
          let isUp = link?.flags.contains(.up) ?? false
          if let mtu = link?.mtu, let before = last[port]??.mtu, mtu != before {
            logger.info("\(port.name): its MTU is \(mtu)")
          }
          if wasUp != isUp { logger.warning("\(port.name): the link is \(isUp ? "up" : "down")") }
        }
        if now != last || gone != missing {
          // Flags were checked at the start.
          if let host = try? machine.host({ now[$0] ?? nil }) {
            _ = try? await worker.hostChanged(to: host)
          }
        }
        last = now
        gone = missing
      }
    }

    /// The machine whose kernel routes: what changes there changes here.
    private func watchMachine() async {
      guard source.isLive else { return }
      let watch: MachineWatch
      do {
        watch = try MachineWatch()
      } catch {
        return logger.error("addresses and routes stay those of the start: \(error)")
      }
      while (try? await Task.sleep(for: .milliseconds(100))) != nil {
        guard watch.hasChanged() else { continue }
        do {
          let known = try await worker.perform { $0.host }
          let now = try LiveMachine.snapshot(settings: source.machine.set).configuration
          let host = LiveMachine.arranged(now, like: known.interfaces)
          if host.interfaces == known.interfaces && host.routing.routes == known.routing.routes {
            continue
          }
          _ = try await worker.hostChanged(to: host)
          logger.info("addresses or routes have changed")
        } catch {
          logger.error("addresses and routes could not be read: \(error)")
        }
      }
    }

    private func links() -> [PortDescription: LinkInfo?] {
      Dictionary(uniqueKeysWithValues: source.ports.map { ($0, LinkInfo($0.device)) })
    }

    // MARK: State

    /// Once a second, so that whoever kills the gateway takes at most that from it.
    private func keepState(_ path: String) async {
      while (try? await Task.sleep(for: .seconds(1))) != nil {
        await save(path) { try await StateFile.contents(of: $0) }
      }
    }

    private func save(_ path: String, contents: (Worker) async throws -> [UInt8]) async {
      do {
        try StateFile.write(try await contents(worker), to: path)
      } catch {
        logger.error("the state was not written: \(error)")
      }
    }
  }
#endif
