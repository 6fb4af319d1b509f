internal import Glibc
internal import NIOHTTP1
internal import OCISpec

/// Turns an answer that is no success into an error, with the registry's own words where it gave any.
enum AnswerFailure {
    /// `what` is the subject of the sentence, such as a host.
    static func explain(_ response: TransportResponse, body: [UInt8], what: String) -> RegistryError {
        let status = response.status
        let said = reason(body).map { ": \($0)" } ?? ""
        let answer = "\(what) answered \(status.code) \(status.reasonPhrase.lowercased())\(said)"
        let wait = response.headers.first(name: "Retry-After").flatMap { retryAfter($0, now: Int64(time(nil))) }
        switch status.code {
        case 404: return RegistryError(.notFound, answer, remedy: "check the repository and the tag")
        case 429:
            let remedy = wait.map { "wait \($0) and try again, or log in for a higher limit" }
            return RegistryError(
                .rateLimited, answer, remedy: remedy ?? "wait and try again, or log in for a higher limit",
                retryAfter: wait, isTransient: true)
        case 408, 500, 502, 503, 504:
            return RegistryError(
                .server, answer, remedy: "try again later, or ask the registry's operator", retryAfter: wait,
                isTransient: true)
        case 400 where said.contains("HTTPS") || String(decoding: body, as: UTF8.self).contains("HTTPS"):
            return RegistryError(
                .tls, "\(what) speaks TLS, but was asked in plain HTTP", suggestsOtherScheme: true)
        default:
            return RegistryError(.server, answer, remedy: "check that this host is a container registry")
        }
    }

    /// Code and message of the distribution specification's error body, printable and at most 300 characters.
    static func reason(_ body: [UInt8]) -> String? {
        guard let document = try? JSON(parsing: body), let first = document["errors"]?.array?.first else { return nil }
        let parts = [first["code"]?.string?.lowercased(), first["message"]?.string].compactMap { $0 }
        let text = parts.joined(separator: ", ").filter { $0.isASCII ? !$0.isNewline && $0 >= " " : $0.isLetter }
        return text.isEmpty ? nil : String(text.prefix(300))
    }

    /// The value of `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3) against `now` in Unix seconds.
    static func retryAfter(_ value: String, now: Int64) -> Duration? {
        if let seconds = Int64(value) { return seconds >= 0 ? .seconds(seconds) : nil }
        let parts = value.split(whereSeparator: { $0 == " " || $0 == "," || $0 == ":" })
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 8, parts[7] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
            (1970...9999).contains(year), let hour = Int64(parts[4]), (0...23).contains(hour),
            let minute = Int64(parts[5]), (0...59).contains(minute), let second = Int64(parts[6]),
            (0...60).contains(second)
        else { return nil }
        // Days since 1970 of a proleptic Gregorian date, counted in years that begin with March.
        let shifted = month < 2 ? year - 1 : year
        let fromMarch = Int64((month + 10) % 12)
        let days =
            365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * fromMarch + 2) / 5 + day - 1 - 719_468
        let moment = days * 86_400 + hour * 3600 + minute * 60 + second
        return .seconds(max(0, moment - now))
    }
}
