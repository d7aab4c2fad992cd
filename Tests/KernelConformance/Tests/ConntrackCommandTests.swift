// `weir conntrack --kernel`, and `weir conntrack` on a gateway, beside the `conntrack` of this machine: the same
// command lines, one after another, on tables that begin empty; what they print and how they end is compared.
// Needs root, Linux and conntrack 1.4.7.

import Conformance
import Foundation
import Testing

@Suite(.serialized) struct ConntrackCommandTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Commands")

  static var files: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".txt") }.sorted()
  }

  static var obstacle: String? {
    if let obstacle = ConformanceTests.obstacle { return obstacle }
    guard FileManager.default.isExecutableFile(atPath: "/usr/sbin/conntrack") else {
      return "there is no conntrack"
    }
    return command == nil ? "the weir command is not built" : nil
  }

  /// The command, which is built into the folder that the tests are built into.
  static var command: String? {
    for argument in CommandLine.arguments where argument.contains("PackageTests.xctest") {
      var url = URL(filePath: argument)
      while url.pathComponents.count > 1 {
        url.deleteLastPathComponent()
        let path = url.appending(path: "weir").path
        if FileManager.default.isExecutableFile(atPath: path) { return path }
      }
    }
    return nil
  }

  static var skipText: Comment { "conntrack's command lines are skipped: \(obstacle ?? "")" }

  @Test(.enabled(if: obstacle == nil, skipText), arguments: files)
  func sayTheSame(_ name: String) throws {
    let weir = try #require(Self.command)
    // While another test makes the kernel's table small, entries could not be made.
    let turn = try LaboratoryTurn(alone: false)
    defer { withExtendedLifetime(turn) {} }
    let (theirs, ours) = (try Namespace("weirct-a"), try Namespace("weirct-b"))
    let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let load = Self.folder.appending(path: name.replacing(".txt", with: ".load")).path
      let words = line.replacing("LOAD", with: load).split(separator: " ").map(String.init)
      let expected = try theirs.run(["/usr/sbin/conntrack"] + words)
      let answer = try ours.run([weir, "conntrack", "--kernel"] + words)
      #expect(answer == expected, "\(line)")
    }
  }

  @Test(.enabled(if: obstacle == nil, skipText), arguments: files)
  func aGatewaySaysTheSame(_ name: String) throws {
    let weir = try #require(Self.command)
    let turn = try LaboratoryTurn(alone: false)
    defer { withExtendedLifetime(turn) {} }
    let (theirs, ours) = (try Namespace("weirct-c"), try Namespace("weirct-d"))
    let socket = NSTemporaryDirectory() + "weir-ct-\(UUID().uuidString.prefix(8)).sock"
    let gateway = try ours.start([weir, "run", "--port", "a=tun:a", "--control", socket])
    defer {
      gateway.terminate()
      gateway.waitUntilExit()
    }
    let end = Date().addingTimeInterval(10)
    while !FileManager.default.fileExists(atPath: socket), Date() < end { usleep(20_000) }
    let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let load = Self.folder.appending(path: name.replacing(".txt", with: ".load")).path
      let words = line.replacing("LOAD", with: load).split(separator: " ").map(String.init)
      let expected = try theirs.run(["/usr/sbin/conntrack"] + words)
      let answer = try ours.run([weir, "conntrack", "--control", socket] + words)
      #expect(answer == expected, "\(line)")
    }
  }

  /// What a command printed, but for what differs from table to table: the order of entries, their ids, and
  /// how long they have lived.
  struct Answer: Equatable {
    var output: [String]
    var errors: String
    var status: Int32

    init(_ output: String, _ errors: String, _ status: Int32) {
      self.output = output.split(separator: "\n").map { Answer.steady(String($0)) }.sorted()
      self.errors = errors
      self.status = status
    }

    private static func steady(_ line: String) -> String {
      line.replacing(#/(^|\s)id=\d+$/#, with: " id=")
        .replacing(#/<id>\d+/#, with: "<id>")
        .replacing(#/<timeout>\d+/#, with: "<timeout>")
        .replacing(#/^-([AUD]) -t \d+/#) { "-\($0.output.1) -t" }
        .replacing(#/^((?:ipv[46] +\d+ )?\w+ +\d+ )\d+ /#) { "\($0.output.1)" }
    }
  }

  /// A network namespace by a name of its own.
  final class Namespace {
    private let name: String

    init(_ name: String) throws {
      self.name = "\(name)-\(ProcessInfo.processInfo.processIdentifier)"
      _ = try Namespace.run(["/usr/sbin/ip", "netns", "add", self.name])
    }

    deinit { _ = try? Namespace.run(["/usr/sbin/ip", "netns", "del", name]) }

    func run(_ words: [String]) throws -> Answer {
      try Namespace.run(["/usr/sbin/ip", "netns", "exec", name] + words)
    }

    /// Starts a program that stays.
    func start(_ words: [String]) throws -> Process {
      let process = Process()
      process.executableURL = URL(filePath: "/usr/sbin/ip")
      process.arguments = ["netns", "exec", name] + words
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      return process
    }

    private static func run(_ words: [String]) throws -> Answer {
      let process = Process()
      process.executableURL = URL(filePath: words[0])
      process.arguments = Array(words.dropFirst())
      let (output, errors) = (Pipe(), Pipe())
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = output
      process.standardError = errors
      try process.run()
      // What goes to standard error is short: it fits in the pipe.
      let text = output.fileHandleForReading.readDataToEndOfFile()
      let said = errors.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return Answer(
        String(decoding: text, as: UTF8.self), String(decoding: said, as: UTF8.self),
        process.terminationStatus)
    }
  }
}
