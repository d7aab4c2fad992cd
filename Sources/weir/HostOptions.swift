// The options of every command that replays.

import ArgumentParser
import Replay

struct HostOptions: ParsableArguments {
  @OptionGroup var machine: MachineOptions

  @Option(help: "An address of the machine itself, instead of a snapshot. May be repeated.")
  var local: [String] = []

  @Option(name: .customLong("in"), help: "The interface of frames whose capture names none.")
  var inInterface: String?

  @Option(help: "capture: time is the capture's. frozen: it stands still at the first packet.")
  var clock: Clock = .capture

  @Option(
    help: "Where every choice comes from (ports, hash secret): the same seed, the same output.")
  var seed: UInt64 = 0

  @Flag(
    help:
      "Fill packets that the capture holds only the beginning of with zeros, instead of dropping them as cut short."
  )
  var fillTruncated = false

  enum Clock: String, ExpressibleByArgument, CaseIterable {
    case capture
    case frozen
  }

  /// The machine and its rules, ready for a capture. Everything is checked before any of it is used.
  func session() throws -> ReplaySession {
    let snapshot = try machine.snapshot(local: local)
    for note in snapshot.notes { StandardError.say("weir: \(note)") }
    let ruleset = try machine.ruleset(snapshot)
    let settings = try machine.settings(snapshot)
    var options = ReplayOptions()
    options.inInterface = inInterface
    options.freezesClock = clock == .frozen
    options.fillsTruncated = fillTruncated
    var session: ReplaySession
    do {
      session = try ReplaySession(
        ruleset: ruleset, snapshot: snapshot, settings: settings, seed: seed, options: options)
    } catch {
      throw Failure.unusable("\(error)")
    }
    try session.restore(machine.connections(snapshot))
    return session
  }
}
