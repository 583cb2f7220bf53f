"""Small files in each form in which Google has exported locations."""

RECORDS = b"""{
  "locations": [{
    "latitudeE7": 525163890,
    "longitudeE7": 133777040,
    "accuracy": 12,
    "velocity": 3,
    "heading": 271,
    "altitude": 38,
    "verticalAccuracy": 4,
    "activity": [{
      "activity": [{
        "type": "ON_BICYCLE",
        "confidence": 77
      }, {
        "type": "IN_VEHICLE",
        "confidence": 11
      }],
      "timestamp": "2022-03-05T09:10:12.345Z"
    }],
    "source": "GPS",
    "deviceTag": 1184732945,
    "platformType": "ANDROID",
    "formFactor": "PHONE",
    "batteryCharging": true,
    "serverTimestamp": "2022-03-05T09:10:20.100Z",
    "timestamp": "2022-03-05T09:10:11.222Z"
  }, {
    "latitudeE7": 525163999,
    "longitudeE7": 133777111,
    "accuracy": 800,
    "activeWifiScan": {
      "accessPoints": [{
        "mac": "101450000000001",
        "strength": -60,
        "frequencyMhz": 2412
      }, {
        "mac": "101450000000002",
        "strength": -71,
        "isConnected": true
      }]
    },
    "source": "WIFI",
    "deviceTag": -538926953,
    "timestamp": "2022-03-05T09:12:00Z"
  }]
}
"""

LOCATION_HISTORY = b"""{
  "locations" : [ {
    "timestampMs" : "1408910152294",
    "latitudeE7" : 515034070,
    "longitudeE7" : -1275920,
    "accuracy" : 26,
    "activitys" : [ {
      "timestampMs" : "1408910091630",
      "activities" : [ {
        "type" : "still",
        "confidence" : 100
      } ]
    } ]
  }, {
    "timestampMs" : "1408910091344",
    "latitudeE7" : 515034071,
    "longitudeE7" : 4293691376,
    "accuracy" : 26
  } ]
}"""

SEMANTIC = b"""{
  "timelineObjects": [{
    "activitySegment": {
      "startLocation": {
        "latitudeE7": 525163890,
        "longitudeE7": 133777040,
        "sourceInfo": {"deviceTag": 1184732945}
      },
      "endLocation": {"latitudeE7": 525200080, "longitudeE7": 134049540, "name": "Alexanderplatz",
        "placeId": "ChIJ_stop"},
      "duration": {
        "startTimestamp": "2022-03-05T09:10:00Z",
        "endTimestamp": "2022-03-05T09:31:30.500Z"
      },
      "distance": 2640,
      "activityType": "IN_BUS",
      "confidence": "HIGH",
      "activities": [{"activityType": "IN_BUS", "probability": 85.7}],
      "waypointPath": {
        "waypoints": [{"latE7": 525163890, "lngE7": 133777041}],
        "source": "INFERRED",
        "roadSegment": [{"placeId": "ChIJ_road", "duration": "8s"}]
      },
      "simplifiedRawPath": {
        "points": [{
          "latE7": 525170000, "lngE7": 133800000, "accuracyMeters": 10,
          "timestamp": "2022-03-05T09:15:00Z"
        }, {
          "latE7": 525180000, "lngE7": 133900000
        }],
        "source": "INFERRED",
        "distanceMeters": 2413.4
      },
      "transitPath": {
        "transitStops": [{"latitudeE7": 525163000, "longitudeE7": 133777000,
          "placeId": "ChIJ_first", "name": "Zoologischer Garten"}],
        "name": "100", "hexRgbColor": "009EE0"
      },
      "parkingEvent": {"timestamp": "2022-03-05T09:31:00Z"}
    }
  }, {
    "placeVisit": {
      "location": {
        "latitudeE7": 525200080,
        "longitudeE7": 134049540,
        "placeId": "ChIJ_library",
        "address": "Breite Str. 30\\n10178 Berlin",
        "name": "Stadtbibliothek",
        "semanticType": "TYPE_WORK",
        "sourceInfo": {"deviceTag": 1184732945},
        "locationConfidence": 87.1
      },
      "duration": {
        "startTimestamp": "2022-03-05T09:31:30.500Z",
        "endTimestamp": "2022-03-05T11:00:00Z"
      },
      "placeConfidence": "HIGH_CONFIDENCE",
      "centerLatE7": 525200000,
      "centerLngE7": 134050000,
      "childVisits": [{
        "location": {"latitudeE7": 525200090, "longitudeE7": 134049550, "placeId": "ChIJ_cafe"},
        "duration": {
          "startTimestamp": "2022-03-05T10:00:00Z",
          "endTimestamp": "2022-03-05T10:20:00Z"
        }
      }]
    }
  }]
}
"""

SEMANTIC_2019 = b"""{
  "timelineObjects" : [ {
    "placeVisit" : {
      "location" : { "placeId" : "ChIJ_home", "semanticType" : "TYPE_HOME" },
      "duration" : { "startTimestampMs" : "1551430800000", "endTimestampMs" : "1551434400000" },
      "centerLatE7" : 525200000,
      "centerLngE7" : 134050000,
      "simplifiedRawPath" : {
        "points" : [ { "latE7" : 525200001, "lngE7" : 134050001, "timestampMs" : "1551431000123",
          "accuracyMeters" : 65 } ]
      }
    }
  }, {
    "activitySegment" : {
      "startLocation" : { },
      "duration" : { "startTimestampMs" : "1551434400000", "endTimestampMs" : "1551438000000" },
      "activityType" : "WALKING"
    }
  } ]
}"""

TIMELINE = """{
  "semanticSegments": [
    {
      "startTime": "2023-06-16T20:00:00.000+02:00",
      "endTime": "2023-06-16T22:00:00.000+02:00",
      "timelinePath": [
        {"point": "52.5163890°, 13.3777040°", "time": "2023-06-16T20:41:00.000+02:00"},
        {"point": "52.5163891°, -0.1275920°", "time": "2023-06-16T21:00:00.000+02:00"},
        {"point": "nowhere", "time": "2023-06-16T21:10:00.000+02:00"}
      ]
    },
    {
      "startTime": "2023-06-16T22:00:00.000+02:00",
      "endTime": "2023-06-17T08:02:33.000+02:00",
      "startTimeTimezoneUtcOffsetMinutes": 60,
      "endTimeTimezoneUtcOffsetMinutes": 60,
      "visit": {
        "hierarchyLevel": 0,
        "probability": 0.78,
        "topCandidate": {
          "placeId": "ChIJ_home",
          "semanticType": "INFERRED_HOME",
          "probability": 0.99,
          "placeLocation": {"latLng": "52.5200080°, 13.4049540°"}
        }
      }
    },
    {
      "startTime": "2023-06-17T08:02:33.000+02:00",
      "endTime": "2023-06-17T08:20:00.000+02:00",
      "startTimeTimezoneUtcOffsetMinutes": 60,
      "activity": {
        "start": {"latLng": "52.5200080°, 13.4049540°"},
        "end": {"latLng": "52.5163890°, 13.3777040°"},
        "distanceMeters": 1530.5,
        "topCandidate": {"type": "IN_PASSENGER_VEHICLE", "probability": 0.6}
      }
    },
    {
      "startTime": "2023-06-17T09:00:00.000+02:00",
      "endTime": "2023-06-20T09:00:00.000+02:00",
      "timelineMemory": {
        "trip": {"distanceFromOriginKms": 280, "destinations": [{"identifier": {"placeId": "ChIJ_sea"}}]}
      }
    }
  ],
  "rawSignals": [
    {
      "position": {
        "LatLng": "52.5163890°, 13.3777040°",
        "accuracyMeters": 13,
        "altitudeMeters": 90.5,
        "source": "WIFI",
        "timestamp": "2024-06-06T11:44:37.000+01:00",
        "speedMetersPerSecond": 0.5
      }
    },
    {
      "activityRecord": {
        "probableActivities": [{"type": "STILL", "confidence": 0.9}],
        "timestamp": "2024-06-06T11:45:00.000+01:00"
      }
    },
    {
      "wifiScan": {
        "deliveryTime": "2024-06-06T11:46:00.000+01:00",
        "devicesRecords": [{"mac": 101450000000001, "rawRssi": -60}]
      }
    }
  ],
  "userLocationProfile": {
    "frequentPlaces": [
      {"placeId": "ChIJ_home", "placeLocation": "52.5200080°, 13.4049540°", "label": "HOME"}
    ],
    "persona": {"travelModeAffinities": [{"mode": "WALKING", "affinity": 0.4}]}
  }
}
""".encode()

IOS = b"""[
  {
    "endTime" : "2024-01-02T10:00:00.000+01:00",
    "startTime" : "2024-01-02T09:00:00.000+01:00",
    "visit" : {
      "hierarchyLevel" : "0",
      "topCandidate" : {
        "probability" : "0.83",
        "semanticType" : "Home",
        "placeID" : "ChIJ_home",
        "placeLocation" : "geo:52.520008,13.404954"
      },
      "probability" : "0.91"
    }
  },
  {
    "endTime" : "2024-01-02T10:30:00.000+01:00",
    "startTime" : "2024-01-02T10:00:00.000+01:00",
    "activity" : {
      "probability" : "0.97",
      "end" : "geo:52.516389,13.377704",
      "topCandidate" : { "type" : "in passenger vehicle", "probability" : "0.6" },
      "distanceMeters" : "1530.5",
      "start" : "geo:52.520008,13.404954"
    }
  },
  {
    "endTime" : "2024-01-02T12:00:00.000+01:00",
    "startTime" : "2024-01-02T10:00:00.000+01:00",
    "timelinePath" : [
      { "point" : "geo:52.520008,13.404954", "durationMinutesOffsetFromStartTime" : "7" },
      { "point" : "geo:52.516389,-13.377704", "durationMinutesOffsetFromStartTime" : "31" }
    ]
  }
]
"""

EDITS = b"""{
  "timelineEdits": [{
    "deviceId": "-538926953",
    "rawSignal": {
      "signal": {
        "position": {
          "point": {"latE7": 525163890, "lngE7": 133777040},
          "accuracyMm": 14063,
          "altitudeMeters": -23.0,
          "source": "WIFI",
          "timestamp": "2024-07-06T05:23:01.340Z",
          "speedMetersPerSecond": 0.25
        }
      },
      "additionalTimestamp": "2024-07-06T05:23:02.000Z",
      "metadata": {"platform": "ANDROID"}
    }
  }, {
    "deviceId": "-538926953",
    "rawSignal": {
      "signal": {
        "activityRecord": {
          "detectedActivities": [{"activityType": "STILL", "probability": 1.0}],
          "timestamp": "2024-07-06T06:53:29.710Z"
        }
      }
    }
  }, {
    "deviceId": "-538926953",
    "rawSignal": {
      "signal": {
        "wifiScan": {
          "deliveryTime": "2024-07-06T06:54:00Z",
          "devices": [{"mac": "101450000000001", "rawRssi": -51}, {"mac": "2", "rawRssi": -53}],
          "source": "ACTIVE_SCAN"
        }
      }
    }
  }, {
    "deviceId": "0",
    "placeAggregates": {
      "placeAggregateInfo": [{
        "score": 1228.0,
        "point": {"latE7": 525163890, "lngE7": 133777040},
        "placeId": "ChIJ_home",
        "placePoint": {"latE7": 525163000, "lngE7": 133777000}
      }],
      "windowSizeHrs": 2011,
      "topRankedPlacesPlaceIds": ["ChIJ_home"],
      "processWindow": {"startTime": "2024-04-14T08:00:55Z", "endTime": "2024-07-07T08:00:55Z"},
      "metadata": {"platform": "UNKNOWN"}
    }
  }, {
    "deviceId": "0",
    "somethingNew": {"at": 1}
  }]
}
"""
