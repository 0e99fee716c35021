//! The dates in JSON.

use std::time::{Duration, SystemTime};

/// The moment of a date since 1970: `2024-05-06T07:08:09.123Z`, or with `+02:00` at its end.
// RFC 3339 §5.6
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let time = time.split('.').next()?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_real = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_real {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let since_1970 = u64::try_from(seconds - offset(zone)?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since_1970))
}

/// Three numbers, of at most four digits each.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|digits| {
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        (is_number && digits.len() <= 4).then(|| digits.parse().ok())?
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// How far the clocks of a time zone are ahead, in seconds.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes, _] = numbers(&format!("{}:0", zone.get(1..)?), ':')?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The days from 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Counted in years that begin with March, so that the leap day is the last.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    // The months from March on have 31, 30, 31, 30, 31 days, again and again.
    let before_month = (153 * month + 2) / 5;
    365 * year + leap_days + before_month + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        for (text, http) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2000-02-29T23:59:59z", "Tue, 29 Feb 2000 23:59:59 GMT"),
            ("2000-03-01t00:00:00.999Z", "Wed, 01 Mar 2000 00:00:00 GMT"),
            ("2024-12-31 12:30:45Z", "Tue, 31 Dec 2024 12:30:45 GMT"),
            ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
            ("2024-01-01T01:30:00+02:00", "Sun, 31 Dec 2023 23:30:00 GMT"),
            (
                "2023-12-31T23:00:00.5-01:30",
                "Mon, 01 Jan 2024 00:30:00 GMT",
            ),
        ] {
            let expected = httpdate::parse_http_date(http).ok();
            assert!(expected.is_some(), "{http}");
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut expected = 0;
        for year in 1970..2500 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..).zip(LENGTHS) {
                let length = length + i64::from(is_leap && month == 2);
                for day in 1..=length {
                    assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "T",
            "2024-05-06",
            "2024-05-06T07:08:09",
            "2024-05-06T07:08Z",
            "2024-13-06T07:08:09Z",
            "2024-00-06T07:08:09Z",
            "2024-05-32T07:08:09Z",
            "2024-05-06T24:08:09Z",
            "2024-05-06T07:60:09Z",
            "2024-05-06T07:08:61Z",
            "2024-05-06T07:08:09+0200",
            "2024-05-06T07:08:09+99:00",
            "2024-05-06T07:08:09+é",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "99999-01-01T00:00:00Z",
            "2024-05-06-07T07:08:09Z",
            "+024-05-06T07:08:09Z",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
