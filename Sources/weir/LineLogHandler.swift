// The gateway's log: a line an event on standard error, for people or for programs.

import Logging

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes `2026-11-24T13:04:56Z warning wan: the interface is gone`, or the same as a JSON object.
struct LineLogHandler: LogHandler {
  var isJSON: Bool
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  init(isJSON: Bool) { self.isJSON = isJSON }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let time = Date().formatted(.iso8601)
    guard isJSON else {
      let details = all.map { " \($0.key)=\($0.value)" }.joined()
      StandardError.say("\(time) \(event.level) \(event.message)\(details)")
      return
    }
    var fields = ["time": time, "level": "\(event.level)", "message": "\(event.message)"]
    for (key, value) in all where fields[key] == nil { fields[key] = "\(value)" }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings always encode.
    guard let line = try? encoder.encode(fields) else { return }
    StandardError.say(String(decoding: line, as: UTF8.self))
  }
}
